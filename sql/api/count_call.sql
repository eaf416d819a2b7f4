-- Let a call through if fewer than `limit` of its kind were let through in the last `window` seconds,
-- and answer with the seconds to wait otherwise. The database's clock is everybody's clock; it is
-- read while the row is locked, as the calls of another process may have come in between.
INSERT INTO history_sync.api_calls AS c (key_id, kind, called_at, idle_from)
VALUES (
    %(key_id)s, %(kind)s, ARRAY[clock_timestamp()],
    clock_timestamp() + %(window)s * interval '1 second'
)
ON CONFLICT (key_id, kind) DO UPDATE SET (called_at, wait, idle_from) = (
    SELECT
        CASE WHEN counted.calls < %(limit)s THEN counted.recent || counted.now
            ELSE counted.recent END,
        -- The call that has to leave the window first, if the limit is to be kept.
        CASE WHEN counted.calls < %(limit)s THEN 0
            ELSE extract(
                epoch FROM counted.recent[counted.calls - %(limit)s + 1] - counted.since
            ) END,
        CASE WHEN counted.calls < %(limit)s THEN counted.now + (counted.now - counted.since)
            ELSE c.idle_from END
    FROM (
        SELECT
            clock.now, clock.since, coalesce(array_length(kept.recent, 1), 0) AS calls, kept.recent
        FROM (
            SELECT moment AS now, moment - %(window)s * interval '1 second' AS since
            FROM (SELECT clock_timestamp() AS moment OFFSET 0) AS read
        ) AS clock
        CROSS JOIN LATERAL (
            SELECT ARRAY(
                SELECT called FROM unnest(c.called_at) AS called
                WHERE called > clock.since ORDER BY called
            ) AS recent
        ) AS kept
    ) AS counted
)
RETURNING wait
