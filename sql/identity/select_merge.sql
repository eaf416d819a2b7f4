SELECT undone_at IS NOT NULL, (
    SELECT later.merge_id::text FROM history_sync.merges AS later
    WHERE later.absorbed = m.kept AND later.undone_at IS NULL
    LIMIT 1
)
FROM history_sync.merges AS m
WHERE m.merge_id = %(merge_id)s AND m.project_id = %(project_id)s
