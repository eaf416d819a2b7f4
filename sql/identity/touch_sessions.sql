-- What moved may stand anywhere.
INSERT INTO touched_contacts (contact_id, span)
SELECT contact_id, tstzrange('-infinity', 'infinity', '[]')
FROM (SELECT giver FROM moves UNION SELECT taker FROM moves) AS touched (contact_id)
