WITH counted AS (
    INSERT INTO history_sync.channel_totals AS known (channel_id, requests, retries)
    SELECT %(channel_id)s::uuid, %(requests)s::bigint, %(retries)s::bigint
    WHERE %(requests)s::bigint > 0
    ON CONFLICT (channel_id) DO UPDATE SET
        requests = known.requests + excluded.requests, retries = known.retries + excluded.retries
)
UPDATE history_sync.runs
SET days_read = days_read + %(days_read)s,
    days_loaded = days_loaded + %(days_loaded)s,
    messages_read = messages_read + %(messages_read)s,
    requests = requests + %(requests)s,
    retries = retries + %(retries)s,
    contacts_created = contacts_created + %(contacts_created)s,
    sessions_created = sessions_created + %(sessions_created)s
WHERE run_id = %(run_id)s::uuid AND channel_id = %(channel_id)s
