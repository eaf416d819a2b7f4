SELECT id FROM channels WHERE history_import_enabled AND deleted_at IS NULL
