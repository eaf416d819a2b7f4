SELECT
    count(*) OVER () AS found, day, seen,
    inserted + updated + unchanged + duplicate + filtered + quarantined AS accounted
FROM history_sync.balance
WHERE channel_id = %(channel_id)s AND run_id = %(run_id)s::uuid
  AND seen <> inserted + updated + unchanged + duplicate + filtered + quarantined
ORDER BY day
LIMIT 20
