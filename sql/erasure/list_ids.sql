SELECT contact_id::text FROM departed
UNION
SELECT message_id::text FROM removed
