SELECT
    i.import_id, i.strategy, i.status, i.error, i.requested_at, i.started_at, i.ended_at,
    count(r.run_id) AS runs,
    coalesce(sum(r.days_read), 0)::bigint AS days_read,
    coalesce(sum(r.days_loaded), 0)::bigint AS days_loaded,
    coalesce(sum(r.messages_read), 0)::bigint AS messages_read,
    coalesce(sum(r.contacts_created), 0)::bigint AS contacts_created,
    coalesce(sum(r.sessions_created), 0)::bigint AS sessions_created
FROM history_sync.imports AS i
LEFT JOIN history_sync.runs AS r ON r.import_id = i.import_id
WHERE i.channel_id = %(channel_id)s
GROUP BY i.import_id
ORDER BY i.requested_at DESC, i.import_id
LIMIT 1
