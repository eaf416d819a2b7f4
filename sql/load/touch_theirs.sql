-- Messages in sessions of ours that a session of the CRM takes in since it was opened or has grown.
WITH grown AS (
    INSERT INTO history_sync.their_sessions AS known (
        channel_id, session_id, contact_id, opens_at, closes_at
    )
    SELECT %(channel_id)s, session_id, contact_id, opens_at, closes_at
    FROM their_sessions AS t
    WHERE NOT EXISTS (
        SELECT FROM history_sync.their_sessions AS same
        WHERE same.channel_id = %(channel_id)s AND same.session_id = t.session_id
          AND (same.contact_id, same.opens_at, same.closes_at)
              = (t.contact_id, t.opens_at, t.closes_at)
    )
    ON CONFLICT (channel_id, session_id) DO UPDATE SET
        contact_id = excluded.contact_id, opens_at = excluded.opens_at,
        closes_at = excluded.closes_at
    RETURNING contact_id, opens_at, closes_at
)
INSERT INTO touched_contacts (contact_id, span)
SELECT k.contact_id, tstzrange(k.at, k.at, '[]')
FROM grown
-- Session by session: of how many have grown the planner knows nothing.
CROSS JOIN LATERAL (
    SELECT k.contact_id, k.message_id, k.at
    FROM history_sync.message_keys AS k
    WHERE k.channel_id = %(channel_id)s AND k.contact_id = grown.contact_id
      AND k.at BETWEEN grown.opens_at AND grown.closes_at
    OFFSET 0
) AS k
CROSS JOIN LATERAL (
    SELECT session_id FROM public.messages
    WHERE id = k.message_id AND deleted_at IS NULL
    OFFSET 0
) AS m
WHERE EXISTS (
    SELECT FROM history_sync.sessions AS ours WHERE ours.session_id = m.session_id OFFSET 0
)
