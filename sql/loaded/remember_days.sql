INSERT INTO history_sync.loaded_days AS known (
    channel_id, day, circumstances, rows, elsewhere, gone, keys, digest, stamp
)
SELECT
    %(channel_id)s, told.day, %(circumstances)s, told.rows, told.elsewhere::uuid[],
    told.gone::uuid[], now.keys, now.digest, told.stamp
FROM unnest(
    %(days)s::date[], %(rows)s::bytea[], %(elsewhere)s::text[], %(gone)s::text[], %(stamps)s::uuid[]
) AS told (day, rows, elsewhere, gone, stamp)
CROSS JOIN LATERAL history_sync.day_digest(
    %(channel_id)s, told.day, told.elsewhere::uuid[]
) AS now
ON CONFLICT (channel_id, day) DO UPDATE SET
    circumstances = excluded.circumstances, rows = excluded.rows,
    elsewhere = excluded.elsewhere, gone = excluded.gone, keys = excluded.keys,
    digest = excluded.digest, stamp = excluded.stamp
