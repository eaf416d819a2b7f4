DELETE FROM history_sync.alerts
WHERE channel_id = %(channel_id)s AND topic = 'problem' AND said = %(said)s
RETURNING channel_id
