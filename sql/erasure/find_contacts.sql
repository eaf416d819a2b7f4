-- Contacts of a person by its addresses, its numbers and what the CRM's webhook noted; with those that
-- were absorbed by one of them.
WITH RECURSIVE found AS (
    SELECT i.contact_id FROM history_sync.identities AS i
    WHERE i.project_id = %(project_id)s AND i.address = ANY(%(addresses)s::text[])
    UNION
    SELECT c.id FROM public.contacts AS c
    WHERE c.project_id = %(project_id)s
      AND regexp_replace(c.phone, '[^0-9]', '', 'g') = ANY(%(digits)s::text[])
    UNION
    SELECT f.contact_id
    FROM public.contact_custom_fields AS f
    INNER JOIN public.contacts AS c ON c.id = f.contact_id
    WHERE c.project_id = %(project_id)s AND f.field_key IN ('waha_wid', 'waha_lid', 'waha_jid')
      AND f.field_value #>> '{}' = ANY(%(digits)s::text[])
), whole AS (
    SELECT contact_id FROM found
    UNION
    SELECT p.contact_id
    FROM history_sync.people AS p
    INNER JOIN whole ON p.absorbed_by = whole.contact_id
)
SELECT DISTINCT whole.contact_id::text
FROM whole
LEFT JOIN history_sync.people AS p USING (contact_id)
WHERE p.is_group IS NOT TRUE
