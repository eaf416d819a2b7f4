-- A unique key is checked row by row: what goes back to another conversation stands alone first, and
-- so does what the run gave a key to, which may have its place.
UPDATE history_sync.message_keys AS k
SET chat_id = k.message_id
WHERE k.inserted_by_run = %(run_id)s::uuid OR k.message_id IN (
    SELECT u.row_id FROM undoing AS u
    WHERE u.relation = 'history_sync.message_keys' AND u.before ? 'chat_id'
)
