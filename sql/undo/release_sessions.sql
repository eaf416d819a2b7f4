-- A row of the CRM that the run only gave a key to leaves a session of ours that it came into.
UPDATE public.messages AS m
SET session_id = NULL, updated_at = now()
FROM history_sync.message_keys AS k
WHERE k.inserted_by_run = %(run_id)s::uuid AND m.id = k.message_id
  AND EXISTS (SELECT FROM history_sync.sessions AS ours WHERE ours.session_id = m.session_id)
