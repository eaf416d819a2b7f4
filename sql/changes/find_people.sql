INSERT INTO to_hold (kind, id)
SELECT 'contact', contact_id FROM staged_people
