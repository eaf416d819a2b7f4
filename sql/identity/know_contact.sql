WITH known AS (
    INSERT INTO history_sync.people (contact_id, project_id, anchor, created_by_run)
    VALUES (%(contact_id)s, %(project_id)s, %(address)s, %(run_id)s)
    ON CONFLICT (contact_id) DO NOTHING
)
INSERT INTO history_sync.identities (project_id, address, contact_id)
VALUES (%(project_id)s, %(address)s, %(contact_id)s)
ON CONFLICT (project_id, address) DO NOTHING
