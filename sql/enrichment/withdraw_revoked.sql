-- A message may be revoked between request and enrichment: what the worker has not taken yet is
-- taken back. The group takes its enrichment with it.
DELETE FROM public.message_groups AS g
USING public.message_enrichments AS e, public.messages AS m
WHERE m.channel_id = %(channel_id)s AND m.deleted_at IS NOT NULL AND e.message_id = m.id
  AND e.status = 'pending' AND e.message_group_id = g.id
  AND g.id = history_sync.id_of('enrichment/group/' || m.id)
