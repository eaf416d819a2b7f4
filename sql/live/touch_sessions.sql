-- Their sessions lose a message.
INSERT INTO touched_contacts (contact_id)
SELECT DISTINCT k.contact_id
FROM doubled AS d
INNER JOIN history_sync.message_keys AS k ON k.message_id = d.message_id
ON CONFLICT DO NOTHING
