INSERT INTO to_hold (kind, id)
SELECT 'message', k.message_id
FROM staged_messages AS s
INNER JOIN history_sync.message_keys AS k
    ON k.channel_id = %(channel_id)s AND k.chat_id = s.chat_id AND k.stanza_id = s.stanza_id
