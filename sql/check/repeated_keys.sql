-- Two rows of one message key. The primary key forbids it in our own table, so this looks for two
-- CRM rows that carry the same WAHA id in one channel, deleted or not counted.
SELECT
    count(*) OVER () AS found, min(m.id::text) AS first_message, count(*) AS rows
FROM public.messages AS m
LEFT JOIN history_sync.message_keys AS k ON k.message_id = m.id
WHERE m.channel_id = %(channel_id)s AND m.deleted_at IS NULL
GROUP BY coalesce(k.chat_id::text || '/' || k.stanza_id, m.channel_message_id, m.id::text)
HAVING count(*) > 1
ORDER BY 2
LIMIT 20
