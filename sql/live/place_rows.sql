INSERT INTO live_places (message_id, stanza_id, chat_id, contact_id, is_self)
SELECT r.message_id, r.stanza_id, p.chat_id, NULL, false
FROM live_rows AS r
INNER JOIN history_sync.identities AS i
    ON i.project_id = %(project_id)s AND i.address = r.address
INNER JOIN history_sync.people AS p ON p.contact_id = i.contact_id
WHERE p.chat_id IS NOT NULL
UNION ALL
-- A bare id says neither conversation nor group: one to one the contact is the conversation's, in a
-- group the sender's, and of our own messages in a group it is ourselves.
SELECT r.message_id, r.stanza_id, p.chat_id, coalesce(w.person, r.contact_id), w.is_self
FROM live_rows AS r
INNER JOIN live_people AS w ON w.live_contact = r.contact_id
LEFT JOIN history_sync.people AS p ON p.contact_id = w.person
WHERE r.address IS NULL
