INSERT INTO concerned (contact_id)
SELECT DISTINCT contact_id FROM removed
ON CONFLICT DO NOTHING
