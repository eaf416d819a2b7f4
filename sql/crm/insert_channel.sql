INSERT INTO channels (
    id, user_id, project_id, tenant_id, name, type, status, external_id, config, allow_groups,
    default_agent_id, created_at, updated_at
)
VALUES (
    %(id)s, %(user_id)s, %(project_id)s, %(tenant_id)s, 'WhatsApp ' || %(session)s::text, 'waha', 'active',
    %(session)s,
    jsonb_build_object(
        'base_url', %(base_url)s::text,
        'session_id', %(session)s::text,
        'auth', jsonb_build_object('api_key_env', %(api_key_env)s::text)
    ),
    %(allow_groups)s, %(agent_id)s, now(), now()
)
RETURNING id
