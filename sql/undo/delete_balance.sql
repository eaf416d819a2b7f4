DELETE FROM history_sync.balance WHERE run_id = %(run_id)s::uuid
