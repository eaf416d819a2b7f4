INSERT INTO history_sync.erased (project_id, digest)
SELECT %(project_id)s, unnest(%(digests)s::bytea[])
ON CONFLICT DO NOTHING
