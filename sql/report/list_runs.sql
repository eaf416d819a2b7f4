-- The runs of an import, oldest first.
SELECT
    from_day, to_day, status, messages_read AS messages, requests, retries,
    extract(epoch FROM coalesce(ended_at, now()) - started_at)::float AS seconds
FROM history_sync.runs
WHERE import_id = %(import_id)s AND channel_id = %(channel_id)s
ORDER BY started_at, run_id
