-- Who is whom by nobody's word but the run's.
DELETE FROM history_sync.evidence
WHERE project_id = ANY(%(project_ids)s::uuid[])
  AND first_seen_at IN (SELECT written_at FROM run_moments)
