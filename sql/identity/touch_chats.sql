UPDATE public.chats AS c
SET last_message_at = newest.at, version = c.version + 1, updated_at = now()
FROM (
    SELECT k.chat_id, max(m."timestamp") FILTER (
        WHERE k.time_trusted AND NOT history_sync.is_mark(k, m)
    ) AS at
    FROM history_sync.message_keys AS k
    INNER JOIN public.messages AS m ON m.id = k.message_id
    WHERE k.channel_id = ANY(%(channel_ids)s)
      AND k.chat_id IN (SELECT giver_chat FROM moves UNION SELECT taker_chat FROM moves)
    GROUP BY k.chat_id
) AS newest
WHERE c.id = newest.chat_id AND c.last_message_at IS DISTINCT FROM newest.at
  -- What the CRM made keeps what it says, unless there is something newer.
  AND (substr(c.id::text, 15, 1) = '5' OR newest.at > coalesce(c.last_message_at, '-infinity'))
