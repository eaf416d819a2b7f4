-- Whose messages the run has changed or moved, before or after they went back.
INSERT INTO concerned (contact_id)
SELECT m.contact_id
FROM undoing AS u
INNER JOIN public.messages AS m ON m.id = u.row_id
WHERE u.relation IN ('public.messages', 'history_sync.message_keys')
UNION
SELECT k.contact_id
FROM undoing AS u
INNER JOIN history_sync.message_keys AS k ON k.message_id = u.row_id
WHERE u.relation IN ('public.messages', 'history_sync.message_keys')
UNION
-- Rows of the CRM that only got a key.
SELECT k.contact_id FROM history_sync.message_keys AS k WHERE k.inserted_by_run = %(run_id)s::uuid
UNION
SELECT p.contact_id
FROM undoing AS u
INNER JOIN history_sync.people AS p ON p.contact_id = u.row_id
WHERE u.relation = 'public.contacts'
ON CONFLICT DO NOTHING
