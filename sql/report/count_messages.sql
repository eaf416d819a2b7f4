-- Messages by day, kind, direction and status in one pass; only what we sent has a status.
WITH stored AS (
    SELECT
        k.day, m.content_type AS kind,
        CASE WHEN m.from_me THEN 'outgoing' ELSE 'incoming' END AS direction,
        CASE WHEN m.from_me THEN m.status END AS status
    FROM history_sync.message_keys AS k
    INNER JOIN public.messages AS m ON m.id = k.message_id AND m.deleted_at IS NULL
    WHERE k.channel_id = %(channel_id)s
), counted AS (
    SELECT
        CASE grouping(day, kind, direction, status)
            WHEN 7 THEN 'day' WHEN 11 THEN 'kind' WHEN 13 THEN 'direction' ELSE 'status'
        END AS what,
        coalesce(day::text, kind, direction, status) AS value,
        count(*) AS messages
    FROM stored
    GROUP BY GROUPING SETS ((day), (kind), (direction), (status))
)
SELECT what, value, messages
FROM counted
WHERE value IS NOT NULL
ORDER BY what, messages DESC, value
