DELETE FROM history_sync.plan_ranges WHERE import_id = %(import_id)s
