SELECT
    reason, day, count(*) AS rows, min(first_seen_at) AS first_seen_at,
    max(last_seen_at) AS last_seen_at
FROM history_sync.quarantine
WHERE channel_id = %(channel_id)s AND resolved_at IS NULL
GROUP BY reason, day
ORDER BY reason, day
