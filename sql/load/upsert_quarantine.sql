-- A row that had left quarantine and cannot be read again comes back.
INSERT INTO history_sync.quarantine AS known (
    channel_id, row_hash, day, reason, payload, first_run, last_run
)
SELECT %(channel_id)s, told.*, %(run_id)s, %(run_id)s
FROM unnest(
    %(row_hashes)s::text[], %(days)s::date[], %(reasons)s::text[], %(payloads)s::text[]
) AS told
ON CONFLICT (channel_id, row_hash) DO UPDATE SET
    times_seen = known.times_seen + 1, last_run = excluded.last_run, last_seen_at = now(),
    reason = excluded.reason, payload = excluded.payload,
    resolved_at = NULL, resolved_run = NULL, became = NULL
