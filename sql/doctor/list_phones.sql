SELECT id::text, phone
FROM public.contacts
WHERE project_id = %(project_id)s AND deleted_at IS NULL AND phone <> ''
ORDER BY created_at, id
