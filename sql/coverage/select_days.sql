SELECT day, coalesce(rows_read, rows_known) AS rows
FROM history_sync.coverage
WHERE channel_id = %(channel_id)s AND day = ANY(%(days)s::date[])
