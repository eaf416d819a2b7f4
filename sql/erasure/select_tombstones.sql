SELECT i.secret, ARRAY(
    SELECT digest FROM history_sync.erased WHERE project_id = %(project_id)s
)
FROM history_sync.installation AS i
