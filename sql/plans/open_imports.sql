SELECT import_id FROM history_sync.imports
WHERE driver = 'sensor' AND status IN ('requested', 'running')
ORDER BY import_id
