-- Conversations that exist already, by the contact they are with: one to one with this contact and
-- nobody else, or the group itself. Of several the oldest is the one people know. One that is known
-- as another contact's stays that.
WITH wanted AS (
    SELECT *
    FROM unnest(%(contacts)s::uuid[], %(groups)s::text[]) AS w (contact_id, group_address)
), private AS MATERIALIZED (
    SELECT c.id, c.created_at, (
        SELECT CASE WHEN count(*) = 1 THEN min(participant ->> 'id') END
        FROM jsonb_path_query(c.participants, '$[*] ? (@.type == "contact")') AS participant
    ) AS contact_id
    FROM public.chats AS c
    WHERE c.project_id = %(project_id)s AND c.chat_type = 'individual' AND c.deleted_at IS NULL
), found AS (
    SELECT w.contact_id, c.id, c.created_at
    FROM wanted AS w
    INNER JOIN private AS c ON c.contact_id = w.contact_id::text
    WHERE w.group_address IS NULL
    UNION ALL
    SELECT w.contact_id, c.id, c.created_at
    FROM wanted AS w
    INNER JOIN public.chats AS c
        ON c.external_id = w.group_address AND c.project_id = %(project_id)s
       AND c.deleted_at IS NULL
)
SELECT DISTINCT ON (contact_id) contact_id::text, id::text
FROM found
WHERE NOT EXISTS (SELECT FROM history_sync.people AS known WHERE known.chat_id = found.id)
ORDER BY contact_id, created_at, id
