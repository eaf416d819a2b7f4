-- Those of them that have been adopted by now are new no more. Their places and the answers to them
-- were told of a row that never came to be.
WITH skipped AS (
    SELECT s.chat_id, s.stanza_id, s.message_id AS was_id, k.message_id, k.contact_id
    FROM staged_messages AS s
    INNER JOIN history_sync.message_keys AS k
        ON k.channel_id = %(channel_id)s AND k.chat_id = s.chat_id AND k.stanza_id = s.stanza_id
    WHERE s.is_new AND k.message_id <> s.message_id
), adopted AS (
    UPDATE staged_messages AS s
    SET is_new = false, message_id = skipped.message_id, contact_id = skipped.contact_id
    FROM skipped
    WHERE s.chat_id = skipped.chat_id AND s.stanza_id = skipped.stanza_id
), relinked AS (
    UPDATE public.messages AS m
    SET reply_to_id = skipped.message_id
    FROM staged_messages AS quoting
    INNER JOIN skipped
        ON skipped.chat_id = quoting.chat_id AND skipped.stanza_id = quoting.reply_to_stanza
    WHERE m.id = quoting.message_id AND m.reply_to_id = skipped.was_id
)
DELETE FROM history_sync.places AS p
USING staged_messages AS s
WHERE p.message_id = s.message_id AND s.is_new AND NOT EXISTS (
    SELECT FROM history_sync.message_keys AS k WHERE k.message_id = s.message_id
)
