SELECT EXISTS (
    SELECT FROM channels
    WHERE project_id <> %(project_id)s AND deleted_at IS NULL
      AND coalesce(config #>> '{auth,api_key_env}', config #>> '{auth,hmac_key_env}') IS NOT NULL
)
