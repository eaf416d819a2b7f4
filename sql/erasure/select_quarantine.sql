SELECT channel_id, row_hash, payload
FROM history_sync.quarantine
WHERE channel_id = ANY(%(channel_ids)s::uuid[])
