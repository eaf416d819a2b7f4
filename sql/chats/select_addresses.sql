SELECT p.chat_id, i.address
FROM history_sync.people AS p
INNER JOIN history_sync.identities AS i ON i.contact_id = p.contact_id
WHERE i.project_id = %(project_id)s AND p.chat_id = ANY(%(chats)s::uuid[])
ORDER BY i.address
