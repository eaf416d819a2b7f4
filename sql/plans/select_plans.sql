-- A day counts as done when it was loaded, however often. An import that a run began has no ranges:
-- its days are those of its runs.
SELECT
    i.import_id, i.channel_id, i.driver, i.strategy, i.status, i.error, i.days, i.max_per_chat,
    i.surveyed_at IS NOT NULL AS surveyed, i.requested_at, i.started_at, i.ended_at,
    ran.runs, ran.days_read, ran.messages, ran.contacts_created, ran.sessions_created, ran.seconds,
    done.days_done, coalesce(planned.days, asked.days) AS days_total
FROM history_sync.imports AS i
CROSS JOIN LATERAL (
    SELECT
        count(*)::integer AS runs,
        coalesce(sum(r.days_read), 0)::integer AS days_read,
        coalesce(sum(r.messages_read), 0)::bigint AS messages,
        coalesce(sum(r.contacts_created), 0)::integer AS contacts_created,
        coalesce(sum(r.sessions_created), 0)::integer AS sessions_created,
        coalesce(sum(extract(epoch FROM coalesce(r.ended_at, now()) - r.started_at)), 0)::float
            AS seconds
    FROM history_sync.runs AS r WHERE r.import_id = i.import_id
) AS ran
CROSS JOIN LATERAL (
    SELECT count(DISTINCT b.day)::integer AS days_done
    FROM history_sync.runs AS r
    INNER JOIN history_sync.balance AS b ON b.run_id = r.run_id AND b.channel_id = r.channel_id
    WHERE r.import_id = i.import_id
) AS done
CROSS JOIN LATERAL (
    SELECT sum(p.to_day - p.from_day + 1)::integer AS days
    FROM history_sync.plan_ranges AS p WHERE p.import_id = i.import_id
) AS planned
CROSS JOIN LATERAL (
    SELECT count(DISTINCT day)::integer AS days
    FROM history_sync.runs AS r
    CROSS JOIN LATERAL generate_series(r.from_day, r.to_day, interval '1 day') AS day
    WHERE r.import_id = i.import_id
) AS asked
WHERE i.import_id = ANY(%(import_ids)s)
ORDER BY i.import_id
