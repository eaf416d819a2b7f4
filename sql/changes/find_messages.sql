INSERT INTO to_hold (kind, id)
SELECT 'message', message_id FROM staged_messages WHERE NOT is_new
