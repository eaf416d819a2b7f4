-- When a day is looked at again, and what it was known by.

-- What is known of a day follows from its checks alone. A check is a whole read, or one request for
-- a row beyond those of the last whole read that was answered with nothing.
CREATE FUNCTION history_sync.day_state(
    day date, checked_at timestamptz, quiet_checks integer, last_grown_at timestamptz
) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN checked_at IS NULL OR checked_at < (day + 1)::timestamp AT TIME ZONE 'UTC'
            THEN 'reading'
        WHEN quiet_checks = 0 THEN 'settling'
        WHEN quiet_checks >= 3 AND checked_at >= last_grown_at + interval '7 days'
            THEN 'exhausted'
        ELSE 'settled'
    END
$$;

-- A day that is not over is checked when it is; then after ten minutes, twenty, forty, up to a day.
-- A browser's engine walks all of its chats for one check, so there it begins with an hour.
CREATE FUNCTION history_sync.next_check(
    day date, state text, checked_at timestamptz, quiet_checks integer, engine text
) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE state
        WHEN 'reading' THEN (day + 1)::timestamp AT TIME ZONE 'UTC'
        WHEN 'settling' THEN checked_at + pause.first
        WHEN 'settled' THEN checked_at
            + least(pause.first * power(2, least(quiet_checks, 10)), interval '1 day')
    END
    FROM (
        SELECT CASE WHEN engine IN ('WEBJS', 'WPP')
            THEN interval '1 hour' ELSE interval '10 minutes' END AS first
    ) AS pause
$$;

ALTER TABLE history_sync.coverage
    -- Rows of the last whole read. The archive may know more: what was revoked is not read again.
    ADD COLUMN rows_read bigint,
    -- From when on the day is to be checked; null for one that is not loaded, or exhausted.
    ADD COLUMN check_at timestamptz;
UPDATE history_sync.coverage AS c SET
    rows_read = c.rows_known,
    check_at = history_sync.next_check(
        c.day, c.state, c.checked_at, c.quiet_checks,
        (SELECT s.engine FROM history_sync.channel_state AS s WHERE s.channel_id = c.channel_id)
    );
CREATE INDEX coverage_check ON history_sync.coverage (check_at) WHERE check_at IS NOT NULL;

-- Own messages on their way: 1 queued to 4 delivered. Their days are read again for a while.
CREATE INDEX message_keys_open
    ON history_sync.message_keys (channel_id, day) WHERE status_rank BETWEEN 1 AND 4;
