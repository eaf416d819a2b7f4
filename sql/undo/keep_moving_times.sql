-- Times of the last contact move on with every message; where the CRM has moved them since, they stay.
WITH moved AS (
    SELECT u.relation, u.row_id, ARRAY(
        SELECT name
        FROM unnest('{first_interaction_at,last_interaction_at,last_message_at}'::text[]) AS name
        WHERE u.after ? name AND is_now.image -> name IS DISTINCT FROM u.after -> name
    ) AS names
    FROM undoing AS u
    INNER JOIN (
        SELECT 'public.contacts' AS relation, c.id AS row_id, history_sync.image(c) AS image
        FROM undoing AS told INNER JOIN public.contacts AS c ON c.id = told.row_id
        UNION ALL
        SELECT 'public.chats', c.id, history_sync.image(c)
        FROM undoing AS told INNER JOIN public.chats AS c ON c.id = told.row_id
    ) AS is_now USING (relation, row_id)
)
UPDATE undoing AS u
SET before = u.before - moved.names, after = u.after - moved.names
FROM moved
WHERE u.relation = moved.relation AND u.row_id = moved.row_id AND moved.names <> '{}'
