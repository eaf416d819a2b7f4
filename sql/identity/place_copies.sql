-- A copy whose address no longer belongs to the same person as the message it was a copy of is a
-- message again: with the taker when its own address moves, with the giver when the other's does.
INSERT INTO placed (message_id, channel_id, stanza_id, chat_id, contact_id, merge_id)
SELECT
    copy.message_id, copy.channel_id, copy.stanza_id, coalesce(own.taker_chat, kept.chat_id),
    CASE WHEN m.source = 'history_import' THEN coalesce(own.taker, theirs.giver)
        ELSE copy.contact_id END,
    coalesce(own.merge_id, theirs.merge_id)
FROM history_sync.message_keys AS copy
INNER JOIN public.messages AS m ON m.id = copy.message_id
INNER JOIN history_sync.message_keys AS kept ON kept.message_id = copy.duplicate_of
LEFT JOIN moves AS own ON own.address = copy.address AND own.giver_chat = kept.chat_id
LEFT JOIN moves AS theirs ON theirs.address = kept.address AND theirs.giver_chat = kept.chat_id
WHERE copy.channel_id = ANY(%(channel_ids)s)
  AND copy.duplicate_of IS NOT NULL
  AND own.taker IS DISTINCT FROM theirs.taker
ON CONFLICT DO NOTHING
