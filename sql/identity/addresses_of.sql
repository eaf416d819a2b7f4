SELECT address, contact_id::text FROM history_sync.identities
WHERE project_id = %(project_id)s AND contact_id = ANY(%(contacts)s::uuid[])
