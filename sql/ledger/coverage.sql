SELECT
    state, count(*) AS days, min(day) AS from_day, max(day) AS to_day, sum(rows_known) AS rows
FROM history_sync.coverage
WHERE channel_id = %(channel_id)s
GROUP BY state
ORDER BY state
