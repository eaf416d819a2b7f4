WITH counted AS (
    SELECT channel_id, state, count(*) AS days, min(day) AS oldest
    FROM history_sync.coverage
    GROUP BY channel_id, state
)
SELECT 'ventros_coverage_days' AS metric, channel_id, state AS label, days::float AS value
FROM counted
UNION ALL
SELECT
    'ventros_oldest_open_day_age_seconds', channel_id, NULL,
    greatest(extract(epoch FROM now() - min(oldest)::timestamp AT TIME ZONE 'UTC'), 0)::float
FROM counted
WHERE state NOT IN ('settled', 'exhausted')
GROUP BY channel_id
