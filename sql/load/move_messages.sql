UPDATE public.messages AS m
SET session_id = p.session_id, updated_at = now()
FROM planned_sessions AS p
WHERE m.id = p.message_id AND m.session_id IS DISTINCT FROM p.session_id
