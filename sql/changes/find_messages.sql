-- Row by row on purpose (OFFSET 0), as load/resolve_messages.sql.
INSERT INTO to_hold (kind, id)
SELECT 'message', k.message_id
FROM staged_messages AS s
CROSS JOIN LATERAL (
    SELECT t.message_id
    FROM history_sync.message_keys AS t
    WHERE t.channel_id = %(channel_id)s AND t.chat_id = s.chat_id AND t.stanza_id = s.stanza_id
    OFFSET 0
) AS k
