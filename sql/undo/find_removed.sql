-- Messages that the run stored; a row that it found and only gave a key is not its own. Locked, so
-- that nobody edits one between the look and the deletion.
INSERT INTO removed (message_id, channel_id, contact_id, chat_id, day)
SELECT m.id, k.channel_id, m.contact_id, m.chat_id, k.day
FROM history_sync.message_keys AS k
INNER JOIN public.messages AS m ON m.id = k.message_id
INNER JOIN run_moments ON run_moments.written_at = m.created_at
WHERE k.inserted_by_run = %(run_id)s::uuid AND m.source = 'history_import'
FOR UPDATE OF m
