SELECT
    k.address, c.chat_type, count(*) AS messages,
    min(m."timestamp") AS first_at, max(m."timestamp") AS last_at
FROM history_sync.message_keys AS k
INNER JOIN public.messages AS m ON m.id = k.message_id AND m.deleted_at IS NULL
INNER JOIN public.chats AS c ON c.id = k.chat_id
WHERE k.channel_id = %(channel_id)s
GROUP BY k.address, c.chat_type
ORDER BY count(*) DESC, k.address
