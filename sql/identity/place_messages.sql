-- A message belongs to whom its address belongs to: the chat's one to one, the sender's in a group.
-- Rows that the CRM wrote stay with a contact that the CRM made.
-- Looked for contact by contact and conversation by conversation (OFFSET 0): with both conditions in
-- one WHERE each merge read all messages, half a minute of ten million.
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
    FROM (
        SELECT theirs.*
        FROM (SELECT DISTINCT giver FROM moves) AS m
        CROSS JOIN unnest(%(channel_ids)s::uuid[]) AS c (channel_id)
        CROSS JOIN LATERAL (
            SELECT * FROM history_sync.message_keys AS t
            WHERE t.channel_id = c.channel_id AND t.contact_id = m.giver
            OFFSET 0
        ) AS theirs
        UNION
        SELECT said.*
        FROM (SELECT DISTINCT giver_chat FROM moves) AS m
        CROSS JOIN unnest(%(channel_ids)s::uuid[]) AS c (channel_id)
        CROSS JOIN LATERAL (
            SELECT * FROM history_sync.message_keys AS t
            WHERE t.channel_id = c.channel_id AND t.chat_id = m.giver_chat
            OFFSET 0
        ) AS said
    ) AS k
    CROSS JOIN LATERAL (
        SELECT source, from_me, metadata FROM public.messages WHERE id = k.message_id OFFSET 0
    ) AS m
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
