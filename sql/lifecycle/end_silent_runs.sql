UPDATE history_sync.runs SET status = 'failed', error = %(error)s, ended_at = now()
WHERE import_id = %(import_id)s AND status = 'running'
