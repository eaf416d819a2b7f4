SELECT
    import_id, from_day, to_day, state, attempt, run_id, failure, error,
    nullif(not_before, '-infinity') AS not_before, started_at, ended_at
FROM history_sync.plan_ranges
WHERE import_id = ANY(%(import_ids)s)
ORDER BY import_id, from_day DESC
