-- Their sessions lose a message.
INSERT INTO touched_contacts (contact_id, span)
SELECT k.contact_id, tstzrange(least(k.at, kept.at), greatest(k.at, kept.at), '[]')
FROM doubled AS d
INNER JOIN history_sync.message_keys AS k ON k.message_id = d.message_id
INNER JOIN history_sync.message_keys AS kept ON kept.message_id = d.kept_id
