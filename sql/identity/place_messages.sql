-- A message belongs to whom its address belongs to: the chat's one to one, the sender's in a group.
-- Rows that the CRM wrote stay with a contact that the CRM made.
INSERT INTO placed (message_id, channel_id, stanza_id, chat_id, contact_id, merge_id)
SELECT
    k.message_id, k.channel_id, k.stanza_id, coalesce(chat.taker_chat, k.chat_id),
    coalesce(own.taker, k.contact_id), coalesce(chat.merge_id, own.merge_id)
FROM (
    SELECT
        k.*, m.source,
        CASE WHEN k.address LIKE '%%@g.us' AND NOT m.from_me
            THEN coalesce(m.metadata ->> 'sender', k.address) ELSE k.address
        END AS correspondent
    FROM history_sync.message_keys AS k
    INNER JOIN public.messages AS m ON m.id = k.message_id
    WHERE k.channel_id = ANY(%(channel_ids)s)
      AND (
          k.contact_id IN (SELECT giver FROM moves)
          OR k.chat_id IN (SELECT giver_chat FROM moves)
      )
) AS k
LEFT JOIN moves AS chat ON chat.address = k.address AND chat.giver_chat = k.chat_id
LEFT JOIN moves AS own
    ON own.address = k.correspondent AND own.giver = k.contact_id
   AND (
       k.source = 'history_import' OR own.takes_all OR EXISTS (
           SELECT FROM history_sync.merged_rows AS r
           WHERE r.merge_id = own.merge_id AND r.relation = 'messages' AND r.row_id = k.message_id
       )
   )
-- A copy stands in no conversation; place_copies.sql knows when it is a message again.
WHERE k.duplicate_of IS NULL AND (chat.address IS NOT NULL OR own.address IS NOT NULL)
