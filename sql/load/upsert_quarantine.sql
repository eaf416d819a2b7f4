INSERT INTO history_sync.quarantine AS known (
    channel_id, row_hash, day, reason, payload, first_run, last_run
)
VALUES (
    %(channel_id)s, %(row_hash)s, %(day)s, %(reason)s, %(payload)s, %(run_id)s, %(run_id)s
)
ON CONFLICT (channel_id, row_hash) DO UPDATE SET
    times_seen = known.times_seen + 1, last_run = excluded.last_run, last_seen_at = now(),
    reason = excluded.reason
