-- The stretches of each contact's time that have to be cut anew: around every moment that something
-- changes at, to the ends of whole sessions. Where a session ends depends on neighbours alone, so the
-- cut outside of a stretch stands, as long as no session and no gap within the timeout reaches across
-- its ends. So a window costs what it brings and not what its contacts have: to cut whole contacts
-- made an account of ten million messages cost two hundred times as much as one window of it.
INSERT INTO touched_spans (contact_id, from_at, until_at)
WITH RECURSIVE walked AS (
    -- Moments within the timeout are one stretch from the beginning.
    SELECT
        contact_id, lower(stretch) AS of_stretch, lower(stretch) AS from_at,
        upper(stretch) - %(timeout)s AS until_at
    FROM (
        SELECT contact_id, range_agg(
            tstzrange(lower(span), upper(span) + %(timeout)s, '[]')
        ) AS stretches
        FROM touched_contacts
        GROUP BY contact_id
    ) AS touched
    CROSS JOIN LATERAL unnest(stretches) AS stretch
    UNION
    SELECT
        w.contact_id, w.of_stretch, least(w.from_at, first.at, first.started_at),
        greatest(w.until_at, last.at, last.ended_at)
    FROM walked AS w
    -- None of ours reaches across a message in a session of the CRM, so those are passed over.
    LEFT JOIN LATERAL (
        SELECT k.at, ours.started_at
        FROM history_sync.message_keys AS k
        CROSS JOIN LATERAL (
            SELECT session_id, deleted_at FROM public.messages WHERE id = k.message_id OFFSET 0
        ) AS m
        LEFT JOIN history_sync.sessions AS ours ON ours.session_id = m.session_id
        WHERE k.channel_id = %(channel_id)s AND k.contact_id = w.contact_id
          AND k.at BETWEEN w.from_at - %(timeout)s AND w.until_at
          AND m.deleted_at IS NULL AND (m.session_id IS NULL OR ours.session_id IS NOT NULL)
        ORDER BY k.channel_id, k.contact_id, k.at
        LIMIT 1
    ) AS first ON true
    LEFT JOIN LATERAL (
        SELECT k.at, ours.ended_at
        FROM history_sync.message_keys AS k
        CROSS JOIN LATERAL (
            SELECT session_id, deleted_at FROM public.messages WHERE id = k.message_id OFFSET 0
        ) AS m
        LEFT JOIN history_sync.sessions AS ours ON ours.session_id = m.session_id
        WHERE k.channel_id = %(channel_id)s AND k.contact_id = w.contact_id
          AND k.at BETWEEN w.from_at AND w.until_at + %(timeout)s
          AND m.deleted_at IS NULL AND (m.session_id IS NULL OR ours.session_id IS NOT NULL)
        ORDER BY k.channel_id DESC, k.contact_id DESC, k.at DESC
        LIMIT 1
    ) AS last ON true
)
SELECT contact_id, lower(stretch), upper(stretch)
FROM (
    SELECT contact_id, range_agg(tstzrange(from_at, until_at, '[]')) AS stretches
    FROM walked
    GROUP BY contact_id
) AS reached
CROSS JOIN LATERAL unnest(stretches) AS stretch
