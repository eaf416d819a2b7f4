DELETE FROM history_sync.merges WHERE run_id = %(run_id)s::uuid
