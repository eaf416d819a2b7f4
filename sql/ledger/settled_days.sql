SELECT day
FROM history_sync.coverage
WHERE channel_id = %(channel_id)s AND state IN ('settled', 'exhausted')
  AND day = ANY(%(days)s::date[])
