-- The session timeout is the first one set of pipeline, channel and project.
WITH naming AS (
    SELECT count(DISTINCT project_id) AS projects
    FROM channels
    WHERE deleted_at IS NULL AND coalesce(config #>> '{auth,api_key_env}', config #>> '{auth,hmac_key_env}') IS NOT NULL
)
SELECT
    c.id, c.name, c.project_id, c.tenant_id, p.user_id AS owner_id, c.default_agent_id,
    c.pipeline_id, c.allow_groups, c.external_id, c.config,
    c.history_import_max_days AS max_days,
    c.history_import_max_messages_per_chat AS max_per_chat,
    coalesce(
        nullif(pl.session_timeout_minutes, 0),
        nullif(c.session_timeout_minutes, 0),
        nullif(p.session_timeout_minutes, 0)
    ) AS timeout_minutes,
    naming.projects > 1 AS is_shared
FROM channels AS c
CROSS JOIN naming
INNER JOIN projects AS p ON p.id = c.project_id
LEFT JOIN pipelines AS pl ON pl.id = c.pipeline_id AND pl.deleted_at IS NULL
WHERE c.deleted_at IS NULL AND c.type IN ('waha', 'whatsapp_business')
  AND (%(channel_id)s::uuid IS NULL OR c.id = %(channel_id)s::uuid)
