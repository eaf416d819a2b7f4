DELETE FROM public.message_groups AS g
USING removed
WHERE g.id = history_sync.id_of('enrichment/group/' || removed.message_id)
