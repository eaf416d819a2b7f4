SELECT
    run_id, status, from_day, to_day, days_read, days_loaded, messages_read, requests, retries,
    contacts_created, sessions_created, error, started_at, ended_at
FROM history_sync.runs
WHERE channel_id = %(channel_id)s AND run_id = ANY(%(run_ids)s::uuid[])
ORDER BY started_at
