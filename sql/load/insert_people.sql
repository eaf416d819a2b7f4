-- A contact that the CRM already had keeps its name; none of it is ours, even where it is the same.
INSERT INTO history_sync.people (
    contact_id, project_id, is_group, is_ours, anchor, name, name_rank, name_at, created_by_run
)
SELECT
    p.contact_id, %(project_id)s, p.is_group,
    made.is_ours, p.external_id,
    CASE WHEN made.is_ours AND c.name = p.name THEN p.name END,
    CASE WHEN made.is_ours AND c.name = p.name THEN p.name_rank ELSE 0 END,
    CASE WHEN made.is_ours AND c.name = p.name THEN p.name_at ELSE '-infinity' END,
    %(run_id)s
FROM staged_people AS p
INNER JOIN public.contacts AS c ON c.id = p.contact_id
-- Our ids are of version 5, the CRM's of version 4, and ours stay ours when this memory is lost.
CROSS JOIN LATERAL (SELECT substr(p.contact_id::text, 15, 1) = '5' AS is_ours) AS made
ON CONFLICT (contact_id) DO NOTHING
