SELECT
    count(*) OVER () AS found, min(day) OVER () AS from_day, max(day) OVER () AS to_day,
    day, message_id, missing
FROM (
    SELECT
        (m."timestamp" AT TIME ZONE 'UTC')::date AS day, m.id::text AS message_id,
        concat_ws(', ',
            CASE WHEN ch.id IS NULL THEN 'chat' END,
            CASE WHEN co.id IS NULL THEN 'contact' END,
            CASE WHEN se.id IS NULL THEN 'session' END,
            CASE WHEN ag.id IS NULL THEN 'agent' END,
            CASE WHEN se.contact_id <> m.contact_id THEN 'session of its own contact' END
        ) AS missing
    FROM history_sync.message_keys AS k
    INNER JOIN public.messages AS m ON m.id = k.message_id
    LEFT JOIN public.chats AS ch ON ch.id = m.chat_id
    LEFT JOIN public.contacts AS co ON co.id = m.contact_id
    LEFT JOIN public.sessions AS se ON se.id = m.session_id
    LEFT JOIN public.agents AS ag ON ag.id = m.agent_id
    WHERE k.channel_id = %(channel_id)s AND (%(days)s::date[] IS NULL OR k.day = ANY(%(days)s::date[]))
      AND m.source = 'history_import' AND m.deleted_at IS NULL
) AS joined
WHERE missing <> ''
ORDER BY message_id
LIMIT 20
