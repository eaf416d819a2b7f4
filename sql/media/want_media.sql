INSERT INTO history_sync.media (message_id, channel_id, mimetype)
SELECT k.message_id, k.channel_id, m.media_mimetype
FROM history_sync.message_keys AS k
INNER JOIN public.messages AS m ON m.id = k.message_id AND m.deleted_at IS NULL
WHERE k.channel_id = %(channel_id)s AND m.content_type = ANY(%(kinds)s)
ON CONFLICT (message_id) DO NOTHING
