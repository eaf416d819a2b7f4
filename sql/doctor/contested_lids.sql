SELECT p.contact_id::text
FROM (
    SELECT e.one
    FROM history_sync.evidence AS e
    WHERE e.project_id = %(project_id)s AND e.one LIKE '%%@lid' AND e.other LIKE '%%@c.us'
    GROUP BY e.one
    HAVING count(DISTINCT e.other) > 1
) AS contested
INNER JOIN history_sync.identities AS i
    ON i.project_id = %(project_id)s AND i.address = contested.one
INNER JOIN history_sync.people AS p ON p.contact_id = i.contact_id
INNER JOIN public.contacts AS c ON c.id = p.contact_id AND c.deleted_at IS NULL
ORDER BY 1
