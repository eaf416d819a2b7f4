-- Rows that the run made and that somebody else has written since: what we write carries the moment
-- of one of our transactions.
WITH made AS (
    SELECT 'messages' AS relation, m.id, m.created_at, m.updated_at
    FROM removed INNER JOIN public.messages AS m ON m.id = removed.message_id
    UNION ALL
    SELECT 'contacts', c.id, c.created_at, c.updated_at
    FROM departed INNER JOIN public.contacts AS c ON c.id = departed.contact_id
    UNION ALL
    SELECT 'chats', c.id, c.created_at, c.updated_at
    FROM departed
    INNER JOIN history_sync.people AS p USING (contact_id)
    INNER JOIN public.chats AS c ON c.id = p.chat_id
    INNER JOIN run_moments ON run_moments.written_at = c.created_at
    UNION ALL
    SELECT 'contact_custom_fields', f.id, f.created_at, f.updated_at
    FROM public.contact_custom_fields AS f
    INNER JOIN run_moments ON run_moments.written_at = f.created_at
    UNION ALL
    SELECT 'contact_pipeline_statuses', s.id, s.created_at, s.updated_at
    FROM public.contact_pipeline_statuses AS s
    INNER JOIN run_moments ON run_moments.written_at = s.created_at
    UNION ALL
    SELECT 'trackings', t.id, NULL, t.updated_at
    FROM public.trackings AS t
    INNER JOIN removed ON t.metadata ->> 'message_id' = removed.message_id::text
    WHERE substr(t.id::text, 15, 1) = '8'
)
SELECT relation, id::text
FROM made
WHERE updated_at IS DISTINCT FROM created_at
  AND NOT EXISTS (SELECT FROM history_sync.writes AS w WHERE w.written_at = made.updated_at)
ORDER BY relation, id
