-- The CRM stores phones with and without the plus sign; the oldest contact is the one people know.
SELECT DISTINCT ON (ltrim(phone, '+')) ltrim(phone, '+'), id::text
FROM public.contacts
WHERE project_id = %(project_id)s AND deleted_at IS NULL AND phone = ANY(%(phones)s)
ORDER BY ltrim(phone, '+'), created_at, id
