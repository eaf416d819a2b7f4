SELECT 'ventros_quarantine_rows' AS metric, channel_id, reason AS label, count(*)::float AS value
FROM history_sync.quarantine
WHERE resolved_at IS NULL
GROUP BY channel_id, reason
