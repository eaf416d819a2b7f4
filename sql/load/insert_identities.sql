INSERT INTO history_sync.identities (project_id, address, contact_id)
SELECT %(project_id)s, i.address, i.contact_id
FROM staged_identities AS i
ON CONFLICT (project_id, address) DO NOTHING
