-- Of one run, or of the newest load of every day.
WITH newest AS (
    SELECT DISTINCT ON (day)
        day, seen,
        inserted + updated + unchanged + duplicate + filtered + quarantined AS accounted
    FROM history_sync.balance
    WHERE channel_id = %(channel_id)s
      AND (%(run_id)s::uuid IS NULL OR run_id = %(run_id)s::uuid)
    ORDER BY day, loaded_at DESC
)
SELECT
    count(*) OVER () AS found, min(day) OVER () AS from_day, max(day) OVER () AS to_day,
    day, seen, accounted
FROM newest
WHERE seen <> accounted
ORDER BY day
LIMIT 20
