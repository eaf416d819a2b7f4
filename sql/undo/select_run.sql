SELECT channel_id, status, is_recorded, undone_at, from_day, to_day
FROM history_sync.runs
WHERE run_id = %(run_id)s::uuid
ORDER BY channel_id
