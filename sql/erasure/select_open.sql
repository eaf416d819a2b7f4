SELECT erasure_id, files FROM history_sync.erasures
WHERE project_id = %(project_id)s AND ended_at IS NULL
