DELETE FROM history_sync.directory
WHERE channel_id = ANY(%(channel_ids)s::uuid[]) AND address = ANY(%(addresses)s::text[])
