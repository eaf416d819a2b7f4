-- One WAHA id that names two rows, by the row's own id or by the id its key was made from. A primary
-- key and a unique index forbid it; this is what would be seen if one of them were missing. Counted
-- without a join on purpose: right after an import the tables have no statistics, and a join of
-- 8,000 ids with themselves was planned as a nested loop of seven seconds. Deleted rows do not count.
-- Of some days only the ids that they name are looked for, one by one; of no channel in particular
-- (a SELECT), for of one that it has not counted yet Postgres expects no rows, and walks over all of
-- them for each id.
WITH asked AS (
    SELECT stanza_id, waha_id
    FROM history_sync.message_keys
    WHERE channel_id = %(channel_id)s AND day = ANY(%(days)s::date[])
)
SELECT
    count(*) OVER () AS found, min(min(day)) OVER () AS from_day, max(max(day)) OVER () AS to_day,
    min(day) AS day, min(id::text) AS first_message, count(DISTINCT id) AS rows
FROM (
    SELECT
        m.channel_message_id AS waha_id, m.id, (m."timestamp" AT TIME ZONE 'UTC')::date AS day
    FROM public.messages AS m
    WHERE %(days)s::date[] IS NULL AND m.channel_id = %(channel_id)s AND m.deleted_at IS NULL
      AND m.channel_message_id IS NOT NULL
    UNION ALL
    SELECT k.waha_id, k.message_id, k.day
    FROM history_sync.message_keys AS k
    WHERE %(days)s::date[] IS NULL AND k.channel_id = %(channel_id)s
      AND EXISTS (
          SELECT FROM public.messages AS m WHERE m.id = k.message_id AND m.deleted_at IS NULL
      )
    UNION ALL
    SELECT asked.waha_id, m.id, m.day
    FROM asked
    CROSS JOIN LATERAL (
        SELECT id, ("timestamp" AT TIME ZONE 'UTC')::date AS day
        FROM public.messages
        WHERE channel_id = (SELECT %(channel_id)s::uuid) AND channel_message_id = asked.waha_id
          AND deleted_at IS NULL
        OFFSET 0
    ) AS m
    UNION ALL
    SELECT k.waha_id, k.message_id, k.day
    FROM asked
    CROSS JOIN LATERAL (
        SELECT t.waha_id, t.message_id, t.day
        FROM history_sync.message_keys AS t
        WHERE t.channel_id = (SELECT %(channel_id)s::uuid) AND t.stanza_id = asked.stanza_id
        OFFSET 0
    ) AS k
    WHERE EXISTS (
        SELECT FROM public.messages AS m
        WHERE m.id = k.message_id AND m.deleted_at IS NULL
        OFFSET 0
    )
) AS named
GROUP BY waha_id
HAVING count(DISTINCT id) > 1
ORDER BY first_message
LIMIT 20
