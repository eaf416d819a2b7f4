-- What went may have stood anywhere.
INSERT INTO touched_contacts (contact_id, span)
SELECT contact_id, tstzrange('-infinity', 'infinity', '[]') FROM concerned
