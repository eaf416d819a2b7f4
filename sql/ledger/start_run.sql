INSERT INTO history_sync.runs (run_id, channel_id, from_day, to_day)
VALUES (%(run_id)s::uuid, %(channel_id)s, %(from_day)s, %(to_day)s)
ON CONFLICT (run_id, channel_id) DO NOTHING
RETURNING run_id
