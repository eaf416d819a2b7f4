-- Which days are to be looked at, and why. With no channels given, those of all channels: each part
-- starts from what is open or from a few days, so a fleet costs what it has to do. Days outside of
-- the calendar or beyond a channel's limit are not read, so they are never due.
WITH due AS (
    SELECT c.channel_id, c.day, CASE c.state WHEN 'reading' THEN 'ended' ELSE 'settle' END AS why
    FROM history_sync.coverage AS c
    WHERE c.check_at <= %(now)s
      AND (%(channels)s::uuid[] IS NULL OR c.channel_id = ANY(%(channels)s::uuid[]))
    UNION
    -- Own messages whose delivery or reading is still to come.
    SELECT c.channel_id, c.day, 'acks'
    FROM history_sync.channel_state AS s
    CROSS JOIN generate_series(0, 2) AS ago
    INNER JOIN history_sync.coverage AS c
        ON c.channel_id = s.channel_id
        AND c.day = (%(now)s::timestamptz AT TIME ZONE 'UTC')::date - ago
        AND c.state <> 'unknown'
        AND coalesce(c.read_at, '-infinity') <= %(now)s::timestamptz - interval '1 hour'
    WHERE (%(channels)s::uuid[] IS NULL OR s.channel_id = ANY(%(channels)s::uuid[]))
      AND EXISTS (
          SELECT FROM history_sync.message_keys AS k
          WHERE k.channel_id = c.channel_id AND k.day = c.day AND k.status_rank BETWEEN 1 AND 4
      )
    UNION
    -- What changed in messages that the tail does not reach back to.
    SELECT
        h.channel_id, greatest(coalesce(k.day, (h.message_at AT TIME ZONE 'UTC')::date), %(start)s),
        'hint'
    FROM history_sync.hints AS h
    INNER JOIN history_sync.channel_state AS s ON s.channel_id = h.channel_id
    LEFT JOIN history_sync.message_keys AS k
        ON k.channel_id = h.channel_id AND k.stanza_id = h.stanza_id
    LEFT JOIN public.messages AS m ON m.id = k.message_id
    WHERE h.done_at IS NULL
      AND (%(channels)s::uuid[] IS NULL OR h.channel_id = ANY(%(channels)s::uuid[]))
      AND coalesce(m."timestamp", h.message_at) < coalesce(s.watermark, '-infinity') - %(overlap)s
    UNION
    -- Asked for by whoever runs this: the last days, whatever is known of them.
    SELECT c.channel_id, c.day, 'reread'
    FROM history_sync.coverage AS c
    WHERE %(reread_days)s > 0
      AND c.day > (%(now)s::timestamptz AT TIME ZONE 'UTC')::date - %(reread_days)s
      AND c.state <> 'unknown'
      AND coalesce(c.read_at, '-infinity') <= %(now)s::timestamptz - interval '20 hours'
      AND (%(channels)s::uuid[] IS NULL OR c.channel_id = ANY(%(channels)s::uuid[]))
)
SELECT due.channel_id, due.day, due.why
FROM due
INNER JOIN public.channels AS c ON c.id = due.channel_id
WHERE due.day BETWEEN %(start)s AND (%(now)s::timestamptz AT TIME ZONE 'UTC')::date
  AND (
      c.history_import_max_days IS NULL
      OR due.day > (%(now)s::timestamptz AT TIME ZONE 'UTC')::date - c.history_import_max_days
  )
