UPDATE staged_messages AS s
SET is_new = false, message_id = k.message_id, contact_id = k.contact_id
FROM history_sync.message_keys AS k
WHERE k.channel_id = %(channel_id)s AND k.chat_id = s.chat_id AND k.stanza_id = s.stanza_id
