-- A minute, then two, four, up to an hour.
INSERT INTO history_sync.sync_state AS known (channel_id, failures, not_before)
VALUES (%(channel_id)s, 1, %(now)s::timestamptz + interval '1 minute')
ON CONFLICT (channel_id) DO UPDATE SET
    failures = known.failures + 1,
    not_before = %(now)s::timestamptz + least(
        interval '1 minute' * power(2, least(known.failures, 10)), interval '1 hour'
    )
