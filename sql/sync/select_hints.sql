SELECT event_id FROM history_sync.hints WHERE channel_id = %(channel_id)s AND done_at IS NULL
