-- One range of an import at a time; two who would take one meet at the channel's row lock.
UPDATE history_sync.plan_ranges AS p
SET state = 'running', attempt = p.attempt + 1, started_at = %(now)s, ended_at = NULL,
    failure = NULL, error = NULL, run_id = %(run_id)s::uuid
WHERE p.import_id = %(import_id)s AND p.from_day = %(from_day)s AND p.state = 'waiting'
  AND p.not_before <= %(now)s
  AND NOT EXISTS (
      SELECT FROM history_sync.plan_ranges AS other
      WHERE other.import_id = p.import_id AND other.state = 'running'
  )
  AND EXISTS (
      SELECT FROM history_sync.imports AS i
      WHERE i.import_id = p.import_id AND i.status IN ('requested', 'running')
  )
RETURNING
    p.from_day, p.to_day, p.state, p.attempt, p.run_id, p.failure, p.error,
    nullif(p.not_before, '-infinity') AS not_before, p.started_at, p.ended_at
