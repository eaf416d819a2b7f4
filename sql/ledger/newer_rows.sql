-- The two addresses of one person are one chat here, as they are in the CRM.
SELECT i.address AS chat, p.chat_id::text AS conversation, coalesce(n.newer, 0) AS newer
FROM history_sync.identities AS i
JOIN history_sync.people AS p ON p.contact_id = i.contact_id AND p.chat_id IS NOT NULL
LEFT JOIN (
    SELECT chat_id, count(*) AS newer
    FROM history_sync.message_keys
    WHERE channel_id = %(channel_id)s AND day > %(day)s AND duplicate_of IS NULL
    GROUP BY chat_id
) AS n ON n.chat_id = p.chat_id
WHERE i.project_id = %(project_id)s
