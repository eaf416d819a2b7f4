UPDATE history_sync.merges SET undone_at = now() WHERE merge_id = ANY(%(merge_ids)s::uuid[])
