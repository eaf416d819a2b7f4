-- Days whose memory is gone or another one by now, or whose messages are not those of then.
SELECT relied.day
FROM unnest(%(days)s::date[], %(stamps)s::uuid[]) AS relied (day, stamp)
LEFT JOIN history_sync.loaded_days AS known
    ON known.channel_id = %(channel_id)s AND known.day = relied.day AND known.stamp = relied.stamp
LEFT JOIN LATERAL history_sync.day_digest(%(channel_id)s, known.day, known.elsewhere) AS now ON true
WHERE known.day IS NULL
   OR (known.keys, known.digest) IS DISTINCT FROM (now.keys, now.digest)
   OR EXISTS (
       SELECT FROM public.messages AS m
       WHERE m.id = ANY(known.gone) AND m.deleted_at IS NULL
   )
