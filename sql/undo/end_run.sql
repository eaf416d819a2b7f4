WITH told AS (
    DELETE FROM history_sync.changes WHERE run_id = %(run_id)s::uuid
)
UPDATE history_sync.runs
SET undone_at = now(), undone_by = %(undone_by)s, undone = %(undone)s::jsonb, is_recorded = false
WHERE run_id = %(run_id)s::uuid
