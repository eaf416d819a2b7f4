-- `last_import_date` has no time zone; it is written and read as UTC.
SELECT
    c.type, c.status AS channel_status, c.history_import_enabled AS enabled,
    coalesce(c.history_import_status, 'idle') AS status, c.history_import_stats AS stats,
    c.last_import_date AT TIME ZONE 'UTC' AS last_import_at,
    c.history_import_max_days AS max_days,
    c.history_import_max_messages_per_chat AS max_per_chat,
    s.import_decided_at IS NOT NULL AS decided, s.watermark,
    i.import_id, i.run_group, i.partial, i.error, i.started_at,
    coalesce(i.status = 'requested', false) AS requested,
    coalesce(i.status = 'requested' AND i.requested_at > now() - interval '1 hour', false)
        AS awaited,
    (
        SELECT max(d.started_at) FROM history_sync.imports AS d
        WHERE d.channel_id = c.id AND d.status = 'completed' AND NOT d.partial
    ) AS imported_from,
    i.driver,
    coalesce((
        SELECT sum(p.to_day - p.from_day + 1) FROM history_sync.plan_ranges AS p
        WHERE p.import_id = i.import_id AND p.state IN ('waiting', 'running')
    ), 0)::integer AS days_ahead,
    now() AS now
FROM channels AS c
LEFT JOIN history_sync.channel_state AS s ON s.channel_id = c.id
LEFT JOIN history_sync.imports AS i
    ON i.channel_id = c.id AND i.status IN ('requested', 'running')
WHERE c.id = %(channel_id)s
