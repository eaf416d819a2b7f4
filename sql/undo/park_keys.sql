-- A unique key is checked row by row: what goes back to another conversation stands alone first.
UPDATE history_sync.message_keys AS k
SET chat_id = k.message_id
FROM undoing AS u
WHERE u.relation = 'history_sync.message_keys' AND u.row_id = k.message_id AND u.before ? 'chat_id'
