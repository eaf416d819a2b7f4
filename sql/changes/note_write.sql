INSERT INTO history_sync.writes (run_id, channel_id)
VALUES (%(run_id)s::uuid, %(channel_id)s)
ON CONFLICT DO NOTHING
