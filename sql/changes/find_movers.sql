-- Contacts between which addresses move, and all messages that hang on them or in their
-- conversations.
WITH movers AS (
    SELECT giver AS contact_id FROM moves
    UNION
    SELECT taker FROM moves
)
INSERT INTO to_hold (kind, id)
SELECT 'contact', contact_id FROM movers
UNION ALL
SELECT 'mover', contact_id FROM movers
UNION ALL
SELECT 'message', message_id
FROM (
    SELECT k.message_id
    FROM history_sync.message_keys AS k
    INNER JOIN movers USING (contact_id)
    UNION
    SELECT m.id
    FROM public.messages AS m
    INNER JOIN movers USING (contact_id)
    UNION
    SELECT k.message_id
    FROM history_sync.message_keys AS k
    INNER JOIN history_sync.people AS p ON p.chat_id = k.chat_id
    INNER JOIN movers ON movers.contact_id = p.contact_id
) AS theirs
