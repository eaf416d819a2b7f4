-- Rows of some days that wait in quarantine.
SELECT day, row_hash
FROM history_sync.quarantine
WHERE channel_id = %(channel_id)s AND day = ANY(%(days)s::date[]) AND resolved_at IS NULL
ORDER BY day, row_hash
