-- The contacts of this window: their messages, stored and staged, are cut into sessions anew.
INSERT INTO touched_contacts (contact_id)
SELECT DISTINCT contact_id FROM staged_messages
ON CONFLICT DO NOTHING
