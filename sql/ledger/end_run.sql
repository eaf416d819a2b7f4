UPDATE history_sync.runs
SET status = %(status)s, error = %(error)s, failure = %(failure)s, ended_at = now()
WHERE run_id = %(run_id)s::uuid AND channel_id = %(channel_id)s
