INSERT INTO history_sync.erasures (erasure_id, project_id, asked_by)
VALUES (%(erasure_id)s, %(project_id)s, %(asked_by)s)
