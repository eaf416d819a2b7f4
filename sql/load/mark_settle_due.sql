UPDATE history_sync.channel_state SET settle_due = true
WHERE channel_id = %(channel_id)s AND NOT settle_due
