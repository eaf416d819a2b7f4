INSERT INTO run_moments (written_at)
SELECT DISTINCT written_at FROM history_sync.writes WHERE run_id = %(run_id)s::uuid
