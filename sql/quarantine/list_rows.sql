-- WAHA's name of a row holds a phone number, so a person is shown a hash of it.
SELECT
    left(md5(channel_id || row_hash), 12) AS id, day, reason, times_seen, first_seen_at,
    last_seen_at, resolved_at, became
FROM history_sync.quarantine
WHERE channel_id = %(channel_id)s AND (resolved_at IS NULL OR %(resolved)s)
ORDER BY day DESC, id
