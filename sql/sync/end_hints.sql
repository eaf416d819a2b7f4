UPDATE history_sync.hints
SET done_at = %(now)s
WHERE channel_id = %(channel_id)s AND done_at IS NULL AND event_id = ANY(%(events)s)
