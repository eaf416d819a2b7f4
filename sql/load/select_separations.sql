SELECT one, other FROM history_sync.separations WHERE project_id = %(project_id)s
