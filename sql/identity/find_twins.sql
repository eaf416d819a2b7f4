-- Contacts of the CRM with the number of a person whose contact is ours: its webhook looks a number
-- up in the spelling it got and makes a contact where it finds none, also at the moment we make ours.
-- The oldest of them takes the person over; where the person has one of the CRM's already, a further
-- one is a person's business (`ventros doctor` names it).
SELECT DISTINCT ON (i.address) c.id::text, i.address
FROM public.contacts AS c
CROSS JOIN LATERAL regexp_replace(c.phone, '\D', '', 'g') AS digits
INNER JOIN history_sync.identities AS i
    ON i.project_id = c.project_id AND i.address = digits || '@c.us'
INNER JOIN history_sync.people AS p ON p.contact_id = i.contact_id AND p.is_ours
WHERE c.project_id = %(project_id)s AND c.deleted_at IS NULL AND c.phone <> ''
  AND NOT EXISTS (SELECT FROM history_sync.people AS known WHERE known.contact_id = c.id)
ORDER BY i.address, c.created_at, c.id
