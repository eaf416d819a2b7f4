-- A channel is known to be complete as of its last whole import or pass, and as of a look that saw
-- the same newest messages as that pass.
SELECT told.metric, c.id AS channel_id, NULL AS label, told.value::float
FROM public.channels AS c
LEFT JOIN history_sync.channel_state AS s ON s.channel_id = c.id
LEFT JOIN history_sync.sync_state AS y ON y.channel_id = c.id
CROSS JOIN LATERAL (
    SELECT greatest(
        c.last_import_date::timestamptz, y.synced_at,
        CASE WHEN y.shown = y.synced THEN y.shown_at END
    ) AS at
) AS complete
CROSS JOIN LATERAL (VALUES
    ('ventros_lag_seconds', extract(epoch FROM now() - least(complete.at, now()))
        * CASE WHEN complete.at IS NOT NULL THEN 1 END),
    ('ventros_problem', (s.problem IS NOT NULL)::integer),
    ('ventros_breaker_open', (coalesce(s.breaker_open_until, '-infinity') > now())::integer),
    ('ventros_runs_running', (
        SELECT count(*) FROM history_sync.runs AS r
        WHERE r.channel_id = c.id AND r.status = 'running'
    )),
    ('ventros_hints_waiting', (
        SELECT count(*) FROM history_sync.hints AS h
        WHERE h.channel_id = c.id AND h.done_at IS NULL
    ))
) AS told (metric, value)
WHERE c.deleted_at IS NULL AND told.value IS NOT NULL
