DELETE FROM history_sync.hints WHERE done_at < %(before)s
