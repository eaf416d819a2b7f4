UPDATE history_sync.plan_ranges SET state = 'waiting'
WHERE import_id = %(import_id)s AND from_day = %(from_day)s AND state = 'running'
  AND attempt = %(attempt)s
