DELETE FROM history_sync.quarantine WHERE last_seen_at < %(before)s
