UPDATE history_sync.people AS known
SET chat_id = p.chat_id
FROM staged_people AS p
WHERE known.contact_id = p.contact_id AND p.chat_id IS NOT NULL AND known.chat_id IS NULL
