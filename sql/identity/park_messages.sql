-- A conversation may hold a stanza id once, and a unique key is checked row by row: whatever moves
-- first stands in a conversation of its own. Copies stay there.
UPDATE history_sync.message_keys AS k
SET chat_id = k.message_id
WHERE k.message_id IN (SELECT message_id FROM placed UNION SELECT message_id FROM doubled)
