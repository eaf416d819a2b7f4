INSERT INTO history_sync.separations (project_id, one, other)
SELECT DISTINCT m.project_id, least(a, b), greatest(a, b)
FROM history_sync.merges AS m
CROSS JOIN LATERAL unnest(m.kept_addresses) AS a
CROSS JOIN LATERAL unnest(m.absorbed_addresses) AS b
WHERE m.merge_id = %(merge_id)s
ON CONFLICT DO NOTHING
