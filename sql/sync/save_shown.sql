INSERT INTO history_sync.sync_state AS known (channel_id, shown, shown_at)
VALUES (%(channel_id)s, %(shown)s, %(now)s)
ON CONFLICT (channel_id) DO UPDATE SET
    shown = excluded.shown, shown_at = excluded.shown_at
