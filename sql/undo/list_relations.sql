-- Tables of the CRM of which the run's merges and partings moved rows between contacts.
SELECT DISTINCT r.relation
FROM history_sync.merged_rows AS r
INNER JOIN history_sync.merges AS m USING (merge_id)
WHERE (m.run_id = %(run_id)s::uuid OR m.undone_at IN (SELECT written_at FROM run_moments))
  AND r.relation NOT IN (
      'messages', 'copies', 'kept', 'sessions', 'contact_custom_fields',
      'contact_pipeline_statuses'
  )
ORDER BY r.relation
