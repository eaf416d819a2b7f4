SELECT one, other, source, seen_at
FROM history_sync.evidence
WHERE project_id = %(project_id)s
