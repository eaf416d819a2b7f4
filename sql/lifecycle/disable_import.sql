UPDATE channels SET history_import_enabled = false, updated_at = now() WHERE id = %(channel_id)s
