-- Conversations that the run opened, and that nobody is in.
DELETE FROM public.chats AS c
USING run_moments
WHERE run_moments.written_at = c.created_at AND substr(c.id::text, 15, 1) = '5'
  AND c.project_id = ANY(%(project_ids)s::uuid[])
  AND NOT EXISTS (SELECT FROM history_sync.people AS p WHERE p.chat_id = c.id)
  AND NOT EXISTS (SELECT FROM public.messages AS m WHERE m.chat_id = c.id)
