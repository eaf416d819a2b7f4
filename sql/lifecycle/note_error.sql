-- The first thing that went wrong is the reason; what follows mostly follows from it.
UPDATE history_sync.imports SET error = %(error)s
WHERE import_id = %(import_id)s AND error IS NULL
