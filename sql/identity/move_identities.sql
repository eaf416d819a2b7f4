UPDATE history_sync.identities AS i
SET contact_id = m.taker
FROM moves AS m
WHERE i.project_id = %(project_id)s AND i.address = m.address
