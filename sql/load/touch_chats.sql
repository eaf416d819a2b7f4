WITH seen AS (
    SELECT chat_id, max(at) AS last_at FROM staged_messages WHERE time_trusted GROUP BY chat_id
)
UPDATE public.chats AS c
SET last_message_at = seen.last_at, updated_at = now()
FROM seen
WHERE c.id = seen.chat_id
  AND (c.last_message_at IS NULL OR seen.last_at > c.last_message_at)
