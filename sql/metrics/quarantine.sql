SELECT 'ventros_quarantine_rows' AS metric, channel_id, reason AS label, count(*)::float AS value
FROM history_sync.quarantine
GROUP BY channel_id, reason
