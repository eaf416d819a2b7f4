-- chats.external_id is unique over all tenants, so two projects in one WhatsApp group would collide:
-- the second keeps its chat without the external id, and the JID stays in metadata.
INSERT INTO public.chats (
    id, project_id, tenant_id, chat_type, external_id, subject, participants, metadata,
    created_at, updated_at
)
SELECT
    p.chat_id, %(project_id)s, %(tenant_id)s,
    CASE WHEN p.is_group THEN 'group' ELSE 'individual' END,
    CASE WHEN p.is_group AND NOT EXISTS (
        SELECT FROM public.chats AS c WHERE c.external_id = p.external_id
    ) THEN p.external_id END,
    CASE WHEN p.is_group THEN left(coalesce(p.name, p.external_id), 255) END,
    CASE WHEN p.is_group THEN '[]'::jsonb ELSE jsonb_build_array(jsonb_build_object(
        'id', p.contact_id, 'type', 'contact', 'joined_at', now(), 'left_at', NULL,
        'is_admin', false)) END,
    jsonb_strip_nulls(jsonb_build_object(
        'waha_jid', p.external_id,
        -- What we wrote as the subject, so that one typed over it is told from it.
        'waha_subject', CASE WHEN p.is_group THEN left(coalesce(p.name, p.external_id), 255) END
    )),
    now(), now()
FROM staged_people AS p
WHERE p.chat_id IS NOT NULL
ON CONFLICT (id) DO NOTHING
