SELECT import_id FROM history_sync.imports
WHERE status IN ('requested', 'running')
ORDER BY import_id
