INSERT INTO emptied_chats (chat_id)
SELECT p.chat_id
FROM history_sync.people AS p
INNER JOIN departed USING (contact_id)
WHERE p.chat_id IS NOT NULL
UNION
SELECT c.id
FROM public.chats AS c
INNER JOIN departed ON c.participants @> jsonb_build_array(
    jsonb_build_object('id', departed.contact_id, 'type', 'contact')
)
WHERE c.project_id = %(project_id)s AND c.chat_type = 'individual'
