-- A contact that the CRM already had keeps its name; we have written none yet.
INSERT INTO history_sync.people (
    contact_id, project_id, is_group, name, name_rank, name_at, created_by_run
)
SELECT
    p.contact_id, %(project_id)s, p.is_group,
    CASE WHEN c.name = p.name THEN p.name END,
    CASE WHEN c.name = p.name THEN p.name_rank ELSE 0 END,
    CASE WHEN c.name = p.name THEN p.name_at ELSE '-infinity' END,
    %(run_id)s
FROM staged_people AS p
INNER JOIN public.contacts AS c ON c.id = p.contact_id
ON CONFLICT (contact_id) DO NOTHING
