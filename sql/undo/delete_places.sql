DELETE FROM history_sync.places AS p
USING undoing AS u
WHERE u.relation = 'history_sync.places' AND u.row_id = p.message_id
