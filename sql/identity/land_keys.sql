UPDATE history_sync.message_keys AS k
SET chat_id = p.chat_id, contact_id = p.contact_id, duplicate_of = NULL
FROM placed AS p
WHERE k.message_id = p.message_id
  AND NOT EXISTS (SELECT FROM doubled AS d WHERE d.message_id = k.message_id)
