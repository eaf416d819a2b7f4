-- With the contacts they hang on: a row of the CRM may hang on one that no address leads to.
INSERT INTO to_hold (kind, id)
SELECT 'message', message_id FROM staged_messages WHERE NOT is_new
UNION ALL
SELECT DISTINCT 'contact', contact_id FROM staged_messages WHERE NOT is_new
