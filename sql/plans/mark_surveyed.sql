-- Returns a row only to the first one who asked WAHA, and only while no range has been begun.
UPDATE history_sync.imports SET surveyed_at = %(now)s
WHERE import_id = %(import_id)s AND surveyed_at IS NULL AND status IN ('requested', 'running')
  AND NOT EXISTS (
      SELECT FROM history_sync.plan_ranges AS p
      WHERE p.import_id = imports.import_id AND p.state <> 'waiting'
  )
RETURNING import_id
