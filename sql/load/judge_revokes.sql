-- Which messages of this window are gone, and how that is known. What WhatsApp said itself stands
-- over what was only missed. A mark without its message is no message that could be gone.
WITH gone AS (
    SELECT p.message_id, max(p.gone_at) AS gone_at
    FROM history_sync.places AS p
    INNER JOIN staged_messages AS s USING (message_id)
    GROUP BY p.message_id
    HAVING count(p.gone_at) = count(*)
), judged AS (
    SELECT
        s.message_id,
        s.revoked_at IS NOT NULL AND (NOT s.only_revoked OR NOT coalesce(stored.is_mark, true))
            AS is_told,
        -- A copy that was retired in favour of this row stood in a place of its own.
        CASE WHEN NOT EXISTS (
            SELECT FROM history_sync.message_keys AS copy
            WHERE copy.duplicate_of = s.message_id AND NOT EXISTS (
                SELECT FROM history_sync.places AS p
                WHERE p.message_id = s.message_id
                  AND p.day = copy.day AND p.waha_id = copy.waha_id
            )
        ) THEN gone.gone_at END AS gone_at,
        stored.*
    FROM staged_messages AS s
    LEFT JOIN gone USING (message_id)
    LEFT JOIN LATERAL (
        SELECT history_sync.is_mark(k, m) AS is_mark, m."timestamp", m.from_me, k.time_trusted
        FROM history_sync.message_keys AS k
        INNER JOIN public.messages AS m ON m.id = k.message_id
        WHERE k.message_id = s.message_id AND NOT s.is_new
    ) AS stored ON true
    WHERE s.revoked_at IS NOT NULL OR gone.message_id IS NOT NULL
)
UPDATE staged_messages AS s
SET
    gone_by = CASE WHEN judged.is_told THEN 'row'
        WHEN judged.gone_at IS NOT NULL THEN 'absence' END,
    gone_at = CASE WHEN judged.is_told THEN s.revoked_at ELSE judged.gone_at END,
    -- A mark says nothing of the message that it names, so the message does not move with it.
    at = CASE WHEN s.only_revoked THEN coalesce(judged."timestamp", s.at) ELSE s.at END,
    from_me = CASE WHEN s.only_revoked THEN coalesce(judged.from_me, s.from_me)
        ELSE s.from_me END,
    time_trusted = CASE WHEN s.only_revoked THEN coalesce(judged.time_trusted, s.time_trusted)
        ELSE s.time_trusted END
FROM judged
WHERE judged.message_id = s.message_id
