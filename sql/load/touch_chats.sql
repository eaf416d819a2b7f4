-- As touch_contacts.sql, which says why.
WITH seen AS (
    SELECT k.chat_id, max(m."timestamp") AS last_at
    FROM staged_messages AS s
    INNER JOIN history_sync.message_keys AS k
        ON k.channel_id = %(channel_id)s AND k.message_id = s.message_id
    INNER JOIN public.messages AS m ON m.id = s.message_id
    WHERE k.time_trusted AND NOT history_sync.is_mark(k, m)
    GROUP BY k.chat_id
), left_behind AS (
    SELECT c.id, (
        SELECT max(m."timestamp")
        FROM public.messages AS m
        LEFT JOIN history_sync.message_keys AS k ON k.message_id = m.id
        WHERE m.chat_id = c.id AND CASE WHEN k.message_id IS NULL THEN m.deleted_at IS NULL
            ELSE k.time_trusted AND k.duplicate_of IS NULL
                AND NOT history_sync.is_mark(k, m) END
    ) AS last_at
    FROM (SELECT DISTINCT chat_id, was_at FROM moved_messages) AS moved
    INNER JOIN public.chats AS c ON c.id = moved.chat_id AND c.last_message_at = moved.was_at
), said AS (
    SELECT
        c.id, coalesce(left_behind.last_at, greatest(c.last_message_at, seen.last_at)) AS last_at
    FROM seen
    INNER JOIN public.chats AS c ON c.id = seen.chat_id
    LEFT JOIN left_behind ON left_behind.id = c.id
)
UPDATE public.chats AS c
SET last_message_at = said.last_at, version = c.version + 1, updated_at = now()
FROM said
WHERE c.id = said.id AND c.last_message_at IS DISTINCT FROM said.last_at
