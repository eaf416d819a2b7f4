SELECT address, contact_id::text FROM history_sync.identities
WHERE project_id = %(project_id)s AND address = ANY(%(addresses)s)
ORDER BY address
