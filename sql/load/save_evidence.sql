INSERT INTO history_sync.evidence (project_id, lid, phone, source, channel_id)
SELECT %(project_id)s, pair.lid, pair.phone, pair.source, %(channel_id)s
FROM unnest(%(lids)s::text[], %(phones)s::text[], %(sources)s::text[]) AS pair (lid, phone, source)
ON CONFLICT DO NOTHING
