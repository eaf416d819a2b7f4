INSERT INTO touched_contacts (contact_id)
SELECT contact_id FROM concerned
ON CONFLICT DO NOTHING
