INSERT INTO history_sync.channel_state AS state (channel_id, import_decided_at)
VALUES (%(channel_id)s, now())
ON CONFLICT (channel_id) DO UPDATE SET import_decided_at = excluded.import_decided_at
WHERE state.import_decided_at IS NULL
