INSERT INTO history_sync.sync_state AS known (channel_id, synced, synced_at)
VALUES (%(channel_id)s, %(shown)s, %(now)s)
ON CONFLICT (channel_id) DO UPDATE SET
    synced = excluded.synced, synced_at = excluded.synced_at, failures = 0,
    not_before = '-infinity'
