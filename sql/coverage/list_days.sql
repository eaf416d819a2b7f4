SELECT day, state, rows_known AS rows, read_at, checked_at, check_at, quiet_checks
FROM history_sync.coverage
WHERE channel_id = %(channel_id)s
ORDER BY day
