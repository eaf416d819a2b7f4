-- Days of which WAHA holds no row beyond those of their last whole read.
UPDATE history_sync.coverage AS known
SET state = judged.state,
    checked_at = %(now)s,
    quiet_checks = known.quiet_checks + 1,
    check_at = history_sync.next_check(
        known.day, judged.state, %(now)s, known.quiet_checks + 1,
        (SELECT engine FROM history_sync.channel_state WHERE channel_id = known.channel_id)
    )
FROM (
    SELECT day, history_sync.day_state(day, %(now)s, quiet_checks + 1, last_grown_at) AS state
    FROM history_sync.coverage
    WHERE channel_id = %(channel_id)s AND day = ANY(%(days)s::date[])
) AS judged
WHERE known.channel_id = %(channel_id)s AND known.day = judged.day
