UPDATE history_sync.channel_state SET breaker_open_until = NULL WHERE channel_id = %(channel_id)s
