-- A second read that finds nothing new settles a day; a row that comes late opens it again.
INSERT INTO history_sync.coverage AS known (channel_id, day, state, rows_known)
VALUES (%(channel_id)s, %(day)s, 'settling', %(rows)s)
ON CONFLICT (channel_id, day) DO UPDATE SET
    state = CASE WHEN excluded.rows_known > known.rows_known THEN 'settling' ELSE 'settled' END,
    rows_known = greatest(excluded.rows_known, known.rows_known),
    last_grown_at = CASE WHEN excluded.rows_known > known.rows_known
        THEN now() ELSE known.last_grown_at END
WHERE known.state <> 'settled' OR excluded.rows_known > known.rows_known
