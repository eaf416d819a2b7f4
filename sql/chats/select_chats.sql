SELECT i.address, p.chat_id
FROM history_sync.identities AS i
INNER JOIN history_sync.people AS p ON p.contact_id = i.contact_id
WHERE i.project_id = %(project_id)s AND i.address = ANY(%(addresses)s) AND p.chat_id IS NOT NULL
