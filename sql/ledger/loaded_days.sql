SELECT day
FROM history_sync.balance
WHERE run_id = %(run_id)s::uuid AND channel_id = %(channel_id)s
