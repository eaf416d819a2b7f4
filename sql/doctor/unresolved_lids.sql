SELECT c.id::text
FROM history_sync.identities AS i
INNER JOIN public.contacts AS c ON c.id = i.contact_id AND c.deleted_at IS NULL
WHERE i.project_id = %(project_id)s AND i.address LIKE '%%@lid' AND coalesce(c.phone, '') = ''
ORDER BY 1
