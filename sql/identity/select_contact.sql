SELECT (
    SELECT i.address FROM history_sync.identities AS i
    WHERE i.contact_id = c.id
    ORDER BY i.address = p.anchor DESC, i.address LIMIT 1
)
FROM public.contacts AS c
LEFT JOIN history_sync.people AS p ON p.contact_id = c.id
WHERE c.id::text = %(contact_id)s AND c.project_id = %(project_id)s AND c.deleted_at IS NULL
  AND p.is_group IS NOT TRUE
