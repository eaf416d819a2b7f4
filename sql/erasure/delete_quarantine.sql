DELETE FROM history_sync.quarantine
WHERE channel_id = %(channel_id)s AND row_hash = ANY(%(row_hashes)s::text[])
