SELECT told.metric, t.channel_id, told.label, told.value::float
FROM history_sync.channel_totals AS t
CROSS JOIN LATERAL (VALUES
    ('ventros_messages_total', 'inserted', t.inserted),
    ('ventros_messages_total', 'updated', t.updated),
    ('ventros_messages_total', 'unchanged', t.unchanged),
    ('ventros_messages_total', 'duplicate', t.duplicate),
    ('ventros_messages_total', 'filtered', t.filtered),
    ('ventros_messages_total', 'quarantined', t.quarantined),
    ('ventros_requests_total', NULL, t.requests),
    ('ventros_retries_total', NULL, t.retries),
    ('ventros_runs_total', 'completed', t.runs_completed),
    ('ventros_runs_total', 'failed', t.runs_failed),
    ('ventros_breaker_openings_total', NULL, t.breaker_openings)
) AS told (metric, label, value)
