SELECT
    r.channel_id, r.from_day, r.to_day, r.days_read, r.days_loaded, r.error, r.failure,
    s.problem IS NOT NULL AS has_problem, coalesce(y.failures, 0) AS failures_in_a_row
FROM history_sync.runs AS r
LEFT JOIN history_sync.channel_state AS s ON s.channel_id = r.channel_id
LEFT JOIN history_sync.sync_state AS y ON y.channel_id = r.channel_id
WHERE r.run_id = %(run_id)s::uuid AND r.status = 'failed'
ORDER BY r.channel_id
