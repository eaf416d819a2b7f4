-- Judges a day by what its load found. Only a whole read since the last check is a new check, so
-- loading the archive again settles nothing; but a row that is new opens the day again, however it
-- was read. What comes of some chats alone leaves the day unknown.
INSERT INTO history_sync.coverage AS known (
    channel_id, day, state, rows_known, first_read_at, last_grown_at, check_at
)
SELECT
    %(channel_id)s, day, CASE WHEN %(partial)s THEN 'unknown' ELSE 'reading' END, rows,
    %(now)s, %(now)s, CASE WHEN NOT %(partial)s THEN (day + 1)::timestamp AT TIME ZONE 'UTC' END
FROM unnest(%(days)s::date[], %(rows)s::bigint[]) AS seen (day, rows)
-- What would stay as it is is not even locked, which would be written, too.
WHERE NOT EXISTS (
    SELECT FROM history_sync.coverage AS same
    WHERE same.channel_id = %(channel_id)s AND same.day = seen.day AND same.state <> 'unknown'
      AND same.rows_known >= seen.rows
      AND (same.read_at > coalesce(same.checked_at, '-infinity')) IS NOT TRUE
      AND (same.check_at <= %(now)s) IS NOT TRUE
)
ON CONFLICT (channel_id, day) DO UPDATE SET (
    state, rows_known, checked_at, quiet_checks, last_grown_at, check_at
) = (
    SELECT
        now_known.state, greatest(known.rows_known, excluded.rows_known), seen.checked_at,
        seen.quiet_checks, seen.last_grown_at,
        CASE WHEN now_known.state <> 'unknown' THEN history_sync.next_check(
            known.day, now_known.state, seen.checked_at, seen.quiet_checks,
            (SELECT engine FROM history_sync.channel_state WHERE channel_id = known.channel_id)
        ) END
    FROM (
        SELECT
            CASE WHEN is_new THEN known.read_at ELSE known.checked_at END AS checked_at,
            CASE
                WHEN grew OR (is_new AND known.state IN ('unknown', 'reading')) THEN 0
                ELSE known.quiet_checks + is_new::integer
            END AS quiet_checks,
            CASE WHEN grew THEN %(now)s ELSE known.last_grown_at END AS last_grown_at
        FROM (
            SELECT
                coalesce(known.read_at > coalesce(known.checked_at, '-infinity'), false) AS is_new,
                excluded.rows_known > known.rows_known AS grew
        ) AS found
    ) AS seen
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN known.state = 'unknown' AND %(partial)s AND known.read_at IS NULL THEN 'unknown'
            ELSE history_sync.day_state(
                known.day, seen.checked_at, seen.quiet_checks, seen.last_grown_at
            )
        END AS state
    ) AS now_known
)
