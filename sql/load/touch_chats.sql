-- As touch_contacts.sql, which says why.
WITH seen AS (
    SELECT chat_id, max(last_at) AS last_at FROM moments GROUP BY chat_id
), moved AS MATERIALIZED (
    SELECT DISTINCT c.id
    FROM moved_messages AS moved
    INNER JOIN public.chats AS c ON c.id = moved.chat_id AND c.last_message_at = moved.was_at
), left_behind AS MATERIALIZED (
    SELECT moved.id, latest.at
    FROM moved
    CROSS JOIN LATERAL (
        SELECT max(m."timestamp") AS at
        FROM public.messages AS m
        LEFT JOIN history_sync.message_keys AS k ON k.message_id = m.id
        WHERE m.chat_id = moved.id AND CASE WHEN k.message_id IS NULL THEN m.deleted_at IS NULL
            ELSE k.time_trusted AND k.duplicate_of IS NULL
                AND NOT history_sync.is_mark(k, m) END
    ) AS latest
), said AS (
    SELECT c.id, coalesce(left_behind.at, greatest(c.last_message_at, seen.last_at)) AS last_at
    FROM seen
    INNER JOIN public.chats AS c ON c.id = seen.chat_id
    LEFT JOIN left_behind ON left_behind.id = c.id
)
UPDATE public.chats AS c
SET last_message_at = said.last_at, version = c.version + 1, updated_at = now()
FROM said
WHERE c.id = said.id AND c.last_message_at IS DISTINCT FROM said.last_at
