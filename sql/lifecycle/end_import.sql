UPDATE history_sync.imports SET status = %(status)s, error = %(error)s, ended_at = now()
WHERE import_id = %(import_id)s AND status IN ('requested', 'running')
