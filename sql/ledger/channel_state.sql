SELECT own_addresses, engine, waha_version, directory_read_at, watermark, problem, problem_since,
    settle_due
FROM history_sync.channel_state
WHERE channel_id = %(channel_id)s
