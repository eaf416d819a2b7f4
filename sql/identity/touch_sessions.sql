INSERT INTO touched_contacts (contact_id)
SELECT giver FROM moves UNION SELECT taker FROM moves
