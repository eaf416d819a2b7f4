UPDATE history_sync.channel_state SET settle_due = false
WHERE channel_id = %(channel_id)s AND settle_due
