DELETE FROM history_sync.separations AS s
USING history_sync.identities AS one, history_sync.identities AS other
WHERE s.project_id = %(project_id)s
  AND one.project_id = s.project_id AND one.address = s.one
  AND other.project_id = s.project_id AND other.address = s.other
  AND one.contact_id = ANY(%(contacts)s::uuid[]) AND other.contact_id = ANY(%(contacts)s::uuid[])
