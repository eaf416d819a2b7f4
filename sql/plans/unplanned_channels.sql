-- Channels that a person has enabled and that nobody, neither we nor the CRM, has ever imported.
SELECT c.id
FROM channels AS c
INNER JOIN history_sync.channel_state AS s ON s.channel_id = c.id
WHERE c.history_import_enabled AND c.status = 'active' AND c.deleted_at IS NULL
  AND coalesce(c.history_import_status, 'idle') = 'idle' AND c.last_import_date IS NULL
  AND s.import_decided_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM history_sync.imports AS i WHERE i.channel_id = c.id)
ORDER BY c.id
