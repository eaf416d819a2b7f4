-- Takers that get messages of a conversation.
SELECT DISTINCT m.taker::text
FROM moves AS m
INNER JOIN history_sync.people AS giver ON giver.contact_id = m.giver
WHERE EXISTS (
    SELECT FROM history_sync.message_keys AS k
    WHERE k.channel_id = ANY(%(channel_ids)s) AND k.chat_id = giver.chat_id
      AND k.address = m.address
) OR EXISTS (
    -- A copy of one of its messages, wherever that copy is parked.
    SELECT FROM history_sync.message_keys AS kept
    INNER JOIN history_sync.message_keys AS k ON k.duplicate_of = kept.message_id
    WHERE kept.channel_id = ANY(%(channel_ids)s) AND kept.chat_id = giver.chat_id
      AND k.channel_id = ANY(%(channel_ids)s) AND k.address = m.address
)
