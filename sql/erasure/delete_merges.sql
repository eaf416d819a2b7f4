DELETE FROM history_sync.merges AS m
WHERE m.kept IN (SELECT contact_id FROM departed)
   OR m.absorbed IN (SELECT contact_id FROM departed)
   OR (m.project_id = %(project_id)s
       AND (m.kept_addresses || m.absorbed_addresses) && %(addresses)s::text[])
