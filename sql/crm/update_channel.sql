UPDATE channels
SET config = coalesce(config, '{}'::jsonb) || jsonb_build_object(
        'base_url', %(base_url)s::text,
        'session_id', %(session)s::text
    ) || CASE WHEN %(api_key_env)s::text IS NULL THEN '{}'::jsonb
        ELSE jsonb_build_object('auth', jsonb_build_object('api_key_env', %(api_key_env)s)) END,
    default_agent_id = %(agent_id)s,
    allow_groups = %(allow_groups)s,
    updated_at = now()
WHERE project_id = %(project_id)s AND type = 'waha' AND deleted_at IS NULL
  AND external_id = %(session)s AND config ->> 'base_url' = %(base_url)s
RETURNING id
