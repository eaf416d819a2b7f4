SELECT import_id FROM history_sync.imports
WHERE channel_id = %(channel_id)s
ORDER BY requested_at DESC, import_id
LIMIT 1
