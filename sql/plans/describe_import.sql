UPDATE history_sync.imports
SET driver = %(driver)s, days = %(days)s, max_per_chat = %(max_per_chat)s
WHERE import_id = %(import_id)s
