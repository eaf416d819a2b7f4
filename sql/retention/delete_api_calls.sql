DELETE FROM history_sync.api_calls WHERE idle_from < %(before)s
