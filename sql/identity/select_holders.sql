SELECT i.address, p.contact_id::text, p.anchor, p.is_ours, c.phone IS NOT NULL AND c.phone <> '',
    coalesce(c.created_at, '0001-01-01Z')
FROM history_sync.identities AS i
INNER JOIN history_sync.people AS p USING (contact_id)
INNER JOIN public.contacts AS c ON c.id = p.contact_id
WHERE i.project_id = %(project_id)s AND NOT p.is_group
