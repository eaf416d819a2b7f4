SELECT
    status, failure, error, extract(epoch FROM now() - started_at)::float AS seconds
FROM history_sync.runs
WHERE run_id = %(run_id)s::uuid AND channel_id = %(channel_id)s
