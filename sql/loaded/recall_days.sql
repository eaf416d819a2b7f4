SELECT day, stamp, rows
FROM history_sync.loaded_days
WHERE channel_id = %(channel_id)s AND day = ANY(%(days)s::date[])
  AND circumstances = %(circumstances)s
ORDER BY day
