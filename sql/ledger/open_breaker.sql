WITH counted AS (
    INSERT INTO history_sync.channel_totals AS known (channel_id, breaker_openings)
    VALUES (%(channel_id)s, 1)
    ON CONFLICT (channel_id) DO UPDATE SET breaker_openings = known.breaker_openings + 1
)
INSERT INTO history_sync.channel_state AS state (channel_id, breaker_open_until)
VALUES (%(channel_id)s, now() + %(rest)s)
ON CONFLICT (channel_id) DO UPDATE SET breaker_open_until = excluded.breaker_open_until
