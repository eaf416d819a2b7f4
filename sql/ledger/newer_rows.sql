SELECT address AS chat, count(*) AS newer
FROM history_sync.message_keys
WHERE channel_id = %(channel_id)s AND day > %(day)s AND duplicate_of IS NULL
GROUP BY address
