-- Days whose memory is gone or another one by now, or whose messages are not those of then.
WITH known AS (
    SELECT d.day, d.keys, d.digest, d.elsewhere, d.gone
    FROM unnest(%(days)s::date[], %(stamps)s::uuid[]) AS relied (day, stamp)
    INNER JOIN history_sync.loaded_days AS d
        ON d.channel_id = %(channel_id)s AND d.day = relied.day AND d.stamp = relied.stamp
), held AS (
    SELECT day, message_id, inserted_by_run
    FROM history_sync.message_keys
    WHERE channel_id = %(channel_id)s AND day = ANY(%(days)s::date[])
    UNION ALL
    SELECT known.day, k.message_id, k.inserted_by_run
    FROM known
    CROSS JOIN unnest(known.elsewhere) AS other (message_id)
    INNER JOIN history_sync.message_keys AS k USING (message_id)
), now AS (
    SELECT
        day, count(*) AS keys,
        sum(uuid_hash(message_id)::bigint + uuid_hash(inserted_by_run)) AS digest
    FROM held
    GROUP BY day
)
SELECT relied.day
FROM unnest(%(days)s::date[]) AS relied (day)
LEFT JOIN known USING (day)
LEFT JOIN now USING (day)
WHERE known.day IS NULL
   OR (known.keys, known.digest) IS DISTINCT FROM (coalesce(now.keys, 0), coalesce(now.digest, 0))
   OR EXISTS (
       SELECT FROM public.messages AS m
       WHERE m.id = ANY(known.gone) AND m.deleted_at IS NULL
   )
