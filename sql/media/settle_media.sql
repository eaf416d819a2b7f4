-- Only what is still wanted is settled: another run may have stored the file meanwhile.
UPDATE history_sync.media
SET state = %(state)s, reason = %(reason)s, sha256 = %(sha256)s, bytes = %(bytes)s,
    mimetype = coalesce(%(mimetype)s, mimetype), attempts = attempts + 1, tried_at = now()
WHERE message_id = %(message_id)s::uuid AND state = 'wanted'
