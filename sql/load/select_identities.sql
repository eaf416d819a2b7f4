SELECT i.address, i.contact_id::text, p.chat_id::text
FROM history_sync.identities AS i
INNER JOIN history_sync.people AS p USING (contact_id)
WHERE i.project_id = %(project_id)s AND i.address = ANY(%(addresses)s)
