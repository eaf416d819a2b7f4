DELETE FROM history_sync.quarantine WHERE first_run = %(run_id)s::uuid
