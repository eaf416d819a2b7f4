-- Rows that can be read by now leave quarantine, and give up what was kept of them.
UPDATE history_sync.quarantine AS q
SET resolved_at = now(), resolved_run = %(run_id)s, became = told.became, payload = ''
FROM unnest(%(row_hashes)s::text[], %(became)s::text[]) AS told (row_hash, became)
WHERE q.channel_id = %(channel_id)s AND q.row_hash = told.row_hash AND q.resolved_at IS NULL
