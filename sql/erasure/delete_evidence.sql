WITH apart AS (
    DELETE FROM history_sync.separations
    WHERE project_id = %(project_id)s
      AND (one = ANY(%(addresses)s::text[]) OR other = ANY(%(addresses)s::text[]))
), asked AS (
    DELETE FROM history_sync.lid_lookups
    WHERE channel_id = ANY(%(channel_ids)s::uuid[]) AND lid = ANY(%(addresses)s::text[])
)
DELETE FROM history_sync.evidence
WHERE project_id = %(project_id)s
  AND (one = ANY(%(addresses)s::text[]) OR other = ANY(%(addresses)s::text[]))
