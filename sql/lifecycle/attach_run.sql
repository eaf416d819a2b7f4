UPDATE history_sync.runs SET import_id = %(import_id)s
WHERE run_id = %(run_id)s::uuid AND channel_id = %(channel_id)s
