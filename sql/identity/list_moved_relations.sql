SELECT DISTINCT relation FROM history_sync.merged_rows
WHERE merge_id = ANY(%(merge_ids)s::uuid[]) AND relation NOT IN ('messages', 'copies', 'kept')
ORDER BY relation
