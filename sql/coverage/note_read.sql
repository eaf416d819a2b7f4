-- A day that is only in the archive is not due for a check: nobody asked to have it in the CRM.
INSERT INTO history_sync.coverage AS known (
    channel_id, day, state, rows_known, rows_read, first_read_at, last_grown_at, read_at
)
SELECT %(channel_id)s, day, 'reading', 0, rows_read, %(now)s, %(now)s, %(now)s
FROM unnest(%(days)s::date[], %(rows)s::bigint[]) AS read (day, rows_read)
ON CONFLICT (channel_id, day) DO UPDATE SET
    read_at = excluded.read_at, rows_read = excluded.rows_read
WHERE known.read_at IS NULL OR known.read_at <= excluded.read_at
