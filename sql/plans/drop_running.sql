UPDATE history_sync.plan_ranges SET state = 'failed', error = %(error)s, ended_at = now()
WHERE import_id = %(import_id)s AND state = 'running'
