-- An enrichment has to have a group. `completed`, and expired since the message's own time: the
-- CRM's worker takes `pending` groups and sends their conversation to the AI agent, years old or
-- not.
INSERT INTO public.message_groups (
    id, contact_id, channel_id, session_id, tenant_id, message_ids, status, started_at,
    completed_at, expires_at, created_at, updated_at
)
SELECT
    history_sync.id_of('enrichment/group/' || message_id), contact_id, %(channel_id)s, session_id,
    tenant_id, ARRAY[message_id::text], 'completed', at, at, at, now(), now()
FROM judged_media
WHERE reason IS NULL
ON CONFLICT (id) DO NOTHING
