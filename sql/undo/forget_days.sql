-- Nothing is remembered of the days that the run loaded: they are unknown until they are loaded
-- again, and a load looks at every row.
WITH days AS (
    SELECT channel_id, day FROM history_sync.balance WHERE run_id = %(run_id)s::uuid
    UNION
    SELECT channel_id, day FROM removed WHERE day IS NOT NULL
    UNION
    SELECT k.channel_id, k.day
    FROM undoing AS u
    INNER JOIN history_sync.message_keys AS k ON k.message_id = u.row_id
), unlearned AS (
    DELETE FROM history_sync.loaded_days AS d
    USING days
    WHERE d.channel_id = days.channel_id AND d.day = days.day
)
UPDATE history_sync.coverage AS c
SET state = 'unknown', rows_known = 0, rows_read = NULL, read_at = NULL, checked_at = NULL,
    quiet_checks = 0, check_at = NULL
FROM days
WHERE c.channel_id = days.channel_id AND c.day = days.day
