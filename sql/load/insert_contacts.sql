INSERT INTO public.contacts (
    id, project_id, tenant_id, name, phone, external_id, source_channel, tags, created_at, updated_at
)
SELECT
    p.contact_id, %(project_id)s, %(tenant_id)s, p.name, p.phone, p.external_id, 'whatsapp',
    CASE WHEN p.is_group THEN '["whatsapp", "group"]'::jsonb ELSE '["whatsapp"]'::jsonb END,
    now(), now()
FROM staged_people AS p
ON CONFLICT (id) DO NOTHING
