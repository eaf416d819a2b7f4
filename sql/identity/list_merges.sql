SELECT
    m.merge_id::text, m.kept::text, m.absorbed::text, m.sources, m.moved, m.merged_at, m.undone_at
FROM history_sync.merges AS m
WHERE m.project_id = %(project_id)s
ORDER BY m.merged_at DESC, m.merge_id
LIMIT %(limit)s
