DELETE FROM history_sync.identities
WHERE project_id = %(project_id)s AND address = ANY(%(addresses)s::text[])
