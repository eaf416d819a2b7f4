UPDATE public.chats AS c
SET last_message_at = newest.at, version = c.version + 1, updated_at = now()
FROM (
    SELECT touched.chat_id, max(said.at) AS at
    FROM (SELECT giver_chat FROM moves UNION SELECT taker_chat FROM moves) AS touched (chat_id)
    CROSS JOIN unnest(%(channel_ids)s::uuid[]) AS channel (channel_id)
    -- Conversation by conversation: put to all at once, the planner read every message.
    CROSS JOIN LATERAL (
        SELECT max(m."timestamp") FILTER (
            WHERE k.time_trusted AND NOT history_sync.is_mark(k, m)
        ) AS at
        FROM history_sync.message_keys AS k
        INNER JOIN public.messages AS m ON m.id = k.message_id
        WHERE k.channel_id = channel.channel_id AND k.chat_id = touched.chat_id
        HAVING count(*) > 0
    ) AS said
    GROUP BY touched.chat_id
) AS newest
WHERE c.id = newest.chat_id AND c.last_message_at IS DISTINCT FROM newest.at
  -- What the CRM made keeps what it says, unless there is something newer.
  AND (substr(c.id::text, 15, 1) = '5' OR newest.at > coalesce(c.last_message_at, '-infinity'))
