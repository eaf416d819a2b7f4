-- Channel, contact, session, chat, agent and message share project and tenant. Each row is compared
-- with the channel's own project, and the channel with its project; the CRM has no constraint that
-- would keep them together. A row that the CRM wrote itself may lack a tenant, never have another one.
WITH mine AS (
    SELECT c.id, c.project_id, c.tenant_id, p.tenant_id AS project_tenant
    FROM public.channels AS c
    INNER JOIN public.projects AS p ON p.id = c.project_id
    WHERE c.id = %(channel_id)s
), placed AS MATERIALIZED (
    SELECT
        k.day, m.id, m.project_id, m.contact_id, m.chat_id, m.session_id, m.agent_id,
        CASE WHEN m.source <> 'history_import' OR m.tenant_id <> '' THEN m.tenant_id END AS tenant_id
    FROM history_sync.message_keys AS k
    INNER JOIN public.messages AS m ON m.id = k.message_id
    WHERE k.channel_id = %(channel_id)s AND (%(days)s::date[] IS NULL OR k.day = ANY(%(days)s::date[]))
), asked (relation, id, day, project_id, tenant_id) AS (
    SELECT 'channels', id, NULL::date, project_id, project_tenant FROM mine
    UNION ALL
    SELECT 'messages', id, day, project_id, tenant_id FROM placed
    UNION ALL
    SELECT 'contacts', t.id, near.day, t.project_id, t.tenant_id
    FROM (SELECT contact_id, min(day) AS day FROM placed GROUP BY contact_id) AS near
    INNER JOIN public.contacts AS t ON t.id = near.contact_id
    UNION ALL
    SELECT 'chats', t.id, near.day, t.project_id, t.tenant_id
    FROM (SELECT chat_id, min(day) AS day FROM placed GROUP BY chat_id) AS near
    INNER JOIN public.chats AS t ON t.id = near.chat_id
    UNION ALL
    SELECT 'agents', t.id, near.day, t.project_id, t.tenant_id
    FROM (SELECT agent_id, min(day) AS day FROM placed GROUP BY agent_id) AS near
    INNER JOIN public.agents AS t ON t.id = near.agent_id
    -- The reserved ones are everybody's.
    WHERE t.tenant_id <> 'system'
    UNION ALL
    -- A session says its project by its contact alone.
    SELECT 'sessions', t.id, near.day, c.project_id, t.tenant_id
    FROM (SELECT session_id, min(day) AS day FROM placed GROUP BY session_id) AS near
    INNER JOIN public.sessions AS t ON t.id = near.session_id
    INNER JOIN public.contacts AS c ON c.id = t.contact_id
), wrong AS (
    SELECT
        asked.day, asked.relation, asked.id,
        concat_ws(', ',
            CASE WHEN asked.project_id <> mine.project_id THEN 'project' END,
            CASE WHEN coalesce(asked.tenant_id, 'none') NOT IN (mine.tenant_id, '') THEN 'tenant' END
        ) AS another
    FROM asked
    CROSS JOIN mine
)
SELECT
    count(*) OVER () AS found, min(day) OVER () AS from_day, max(day) OVER () AS to_day,
    day, relation, id::text AS row_id, another
FROM wrong
WHERE another <> ''
ORDER BY relation, row_id
LIMIT 20
