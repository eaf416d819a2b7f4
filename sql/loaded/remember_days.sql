WITH told AS (
    SELECT day, rows, elsewhere::uuid[] AS elsewhere, gone::uuid[] AS gone, stamp
    FROM unnest(
        %(days)s::date[], %(rows)s::bytea[], %(elsewhere)s::text[], %(gone)s::text[],
        %(stamps)s::uuid[]
    ) AS told (day, rows, elsewhere, gone, stamp)
), held AS (
    SELECT day, message_id, inserted_by_run
    FROM history_sync.message_keys
    WHERE channel_id = %(channel_id)s AND day = ANY(%(days)s::date[])
    UNION ALL
    SELECT told.day, k.message_id, k.inserted_by_run
    FROM told
    CROSS JOIN unnest(told.elsewhere) AS other (message_id)
    INNER JOIN history_sync.message_keys AS k USING (message_id)
), now AS (
    SELECT
        day, count(*) AS keys,
        sum(uuid_hash(message_id)::bigint + uuid_hash(inserted_by_run)) AS digest
    FROM held
    GROUP BY day
)
INSERT INTO history_sync.loaded_days AS known (
    channel_id, day, circumstances, rows, elsewhere, gone, keys, digest, stamp
)
SELECT
    %(channel_id)s, told.day, %(circumstances)s, told.rows, told.elsewhere, told.gone,
    coalesce(now.keys, 0), coalesce(now.digest, 0), told.stamp
FROM told
LEFT JOIN now USING (day)
ON CONFLICT (channel_id, day) DO UPDATE SET
    circumstances = excluded.circumstances, rows = excluded.rows,
    elsewhere = excluded.elsewhere, gone = excluded.gone, keys = excluded.keys,
    digest = excluded.digest, stamp = excluded.stamp
