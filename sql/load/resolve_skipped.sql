-- Those of them that have been adopted by now are new no more. Their places were told of a row that
-- never came to be.
WITH adopted AS (
    UPDATE staged_messages AS s
    SET is_new = false, message_id = k.message_id, contact_id = k.contact_id
    FROM history_sync.message_keys AS k
    WHERE k.channel_id = %(channel_id)s AND k.chat_id = s.chat_id AND k.stanza_id = s.stanza_id
      AND s.is_new AND k.message_id <> s.message_id
)
DELETE FROM history_sync.places AS p
USING staged_messages AS s
WHERE p.message_id = s.message_id AND s.is_new AND NOT EXISTS (
    SELECT FROM history_sync.message_keys AS k WHERE k.message_id = s.message_id
)
