-- The id that follows from a message's key may be taken: it was given while two people were one, and
-- the row went with the one whose address it has. The other's message gets an id of its own. Without
-- this its days could never be loaded again.
UPDATE staged_messages AS s
SET message_id = history_sync.id_of(
    'message/' || %(channel_id)s || '/' || s.chat_id || '/' || s.stanza_id || '/' || s.address
)
WHERE s.is_new
  AND EXISTS (SELECT FROM history_sync.message_keys AS k WHERE k.message_id = s.message_id OFFSET 0)
