-- Contacts between which addresses move, and all messages that hang on them or in their
-- conversations. Row by row on purpose (OFFSET 0): keys are many, and found by their channel only.
WITH movers AS (
    SELECT giver AS contact_id FROM moves
    UNION
    SELECT taker FROM moves
), channels AS (
    SELECT c.id AS channel_id
    FROM public.channels AS c
    INNER JOIN public.channels AS mine ON mine.project_id = c.project_id
    WHERE mine.id = %(channel_id)s
)
INSERT INTO to_hold (kind, id)
SELECT 'contact', contact_id FROM movers
UNION ALL
SELECT 'mover', contact_id FROM movers
UNION ALL
SELECT 'message', message_id
FROM (
    SELECT k.message_id
    FROM movers
    CROSS JOIN channels
    CROSS JOIN LATERAL (
        SELECT t.message_id
        FROM history_sync.message_keys AS t
        WHERE t.channel_id = channels.channel_id AND t.contact_id = movers.contact_id
        OFFSET 0
    ) AS k
    UNION
    SELECT m.id
    FROM public.messages AS m
    INNER JOIN movers USING (contact_id)
    UNION
    SELECT k.message_id
    FROM movers
    INNER JOIN history_sync.people AS p ON p.contact_id = movers.contact_id
    CROSS JOIN channels
    CROSS JOIN LATERAL (
        SELECT t.message_id
        FROM history_sync.message_keys AS t
        WHERE t.channel_id = channels.channel_id AND t.chat_id = p.chat_id
        OFFSET 0
    ) AS k
) AS theirs
