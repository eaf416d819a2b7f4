-- Takers that get messages of a conversation.
SELECT DISTINCT m.taker::text
FROM moves AS m
INNER JOIN history_sync.people AS giver ON giver.contact_id = m.giver
WHERE EXISTS (
    SELECT FROM history_sync.message_keys AS k
    LEFT JOIN history_sync.message_keys AS kept ON kept.message_id = k.duplicate_of
    WHERE k.channel_id = ANY(%(channel_ids)s) AND k.address = m.address
      AND giver.chat_id IN (k.chat_id, kept.chat_id)
)
