UPDATE history_sync.imports SET status = 'running', started_at = now()
WHERE import_id = %(import_id)s AND status = 'requested'
