UPDATE history_sync.plan_ranges
SET state = %(state)s, failure = %(failure)s, error = %(error)s, ended_at = %(now)s,
    not_before = coalesce(%(not_before)s, not_before), run_id = coalesce(%(run_id)s::uuid, run_id)
WHERE import_id = %(import_id)s AND from_day = %(from_day)s AND state = 'running'
  AND attempt = %(attempt)s
RETURNING from_day
