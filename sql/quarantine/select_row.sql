SELECT
    left(md5(channel_id || row_hash), 12) AS id, day, reason, times_seen, first_seen_at,
    last_seen_at, resolved_at, became, payload
FROM history_sync.quarantine
WHERE channel_id = %(channel_id)s AND left(md5(channel_id || row_hash), 12) = %(id)s
