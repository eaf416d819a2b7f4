-- A second read that finds nothing new settles a day; a row that comes late opens it again. A read
-- of some chats only says nothing about the day.
INSERT INTO history_sync.coverage AS known (channel_id, day, state, rows_known)
VALUES (
    %(channel_id)s, %(day)s, CASE WHEN %(partial)s THEN 'reading' ELSE 'settling' END, %(rows)s
)
ON CONFLICT (channel_id, day) DO UPDATE SET
    state = CASE
        WHEN %(partial)s THEN known.state
        WHEN excluded.rows_known > known.rows_known OR known.state = 'reading' THEN 'settling'
        ELSE 'settled'
    END,
    rows_known = greatest(excluded.rows_known, known.rows_known),
    last_grown_at = CASE WHEN excluded.rows_known > known.rows_known
        THEN now() ELSE known.last_grown_at END
WHERE known.state <> 'settled' OR excluded.rows_known > known.rows_known
