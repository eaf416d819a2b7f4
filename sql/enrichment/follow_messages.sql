-- A merge of people moves messages to another contact and cuts sessions anew; a group has no
-- foreign key that would follow.
UPDATE public.message_groups AS g
SET contact_id = m.contact_id, session_id = m.session_id, updated_at = now()
FROM public.message_enrichments AS e
INNER JOIN public.messages AS m ON m.id = e.message_id
WHERE m.channel_id = %(channel_id)s AND m.session_id IS NOT NULL
  AND g.id = e.message_group_id AND g.id = history_sync.id_of('enrichment/group/' || m.id)
  AND (g.contact_id, g.session_id) IS DISTINCT FROM (m.contact_id, m.session_id)
