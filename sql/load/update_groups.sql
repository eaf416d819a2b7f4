-- Subject and members of groups as WAHA lists them now, into chats that we made; a chat that the CRM
-- made is the CRM's to keep. Who has left is no participant any more, as when the CRM removes one.
-- Members that are no contacts yet come in when they are; when somebody joined is not known, and not
-- guessed. Agents, and a subject that a person typed over the one we wrote, stay.
WITH listed AS (
    -- Several channels of a project may stand in one group; each list names all its members.
    SELECT DISTINCT ON (p.chat_id) p.chat_id, left(d.subject, 255) AS subject, d.members
    FROM history_sync.directory AS d
    INNER JOIN public.channels AS ch ON ch.id = d.channel_id AND ch.project_id = %(project_id)s
    INNER JOIN history_sync.identities AS i
        ON i.project_id = %(project_id)s AND i.address = d.address
    INNER JOIN history_sync.people AS p ON p.contact_id = i.contact_id AND p.is_group
    WHERE substr(p.chat_id::text, 15, 1) = '5'
      AND (d.members IS NOT NULL OR d.subject IS NOT NULL)
      AND (%(all_groups)s OR EXISTS (
          SELECT FROM jsonb_array_elements(d.members) AS m
          INNER JOIN staged_identities AS s ON s.address = m ->> 'address'
      ))
    ORDER BY p.chat_id, d.members IS NULL, d.listed_at DESC, d.channel_id
), known AS (
    SELECT
        chat_id,
        jsonb_agg(jsonb_build_object(
            'id', contact_id, 'type', 'contact', 'joined_at', NULL, 'left_at', NULL,
            'is_admin', is_admin
        ) ORDER BY contact_id) AS participants
    FROM (
        -- A person may be listed under two addresses.
        SELECT l.chat_id, i.contact_id, bool_or((m ->> 'is_admin')::boolean) AS is_admin
        FROM listed AS l
        CROSS JOIN LATERAL jsonb_array_elements(l.members) AS m
        INNER JOIN history_sync.identities AS i
            ON i.project_id = %(project_id)s AND i.address = m ->> 'address'
        GROUP BY l.chat_id, i.contact_id
    ) AS member
    GROUP BY chat_id
), wanted AS (
    SELECT
        c.id,
        CASE WHEN l.members IS NULL THEN c.participants
            ELSE coalesce(known.participants, '[]') || jsonb_path_query_array(
                c.participants, '$[*] ? (@.type != "contact")'
            ) END AS participants,
        CASE WHEN l.subject IS NOT NULL AND (
            coalesce(c.subject, '') = ''
            OR c.subject = coalesce(c.metadata ->> 'waha_subject', c.subject)
        ) THEN l.subject ELSE c.subject END AS subject
    FROM listed AS l
    INNER JOIN public.chats AS c ON c.id = l.chat_id
    LEFT JOIN known ON known.chat_id = l.chat_id
)
UPDATE public.chats AS c
SET participants = wanted.participants,
    subject = wanted.subject,
    metadata = CASE WHEN c.subject IS DISTINCT FROM wanted.subject
        THEN coalesce(c.metadata, '{}') || jsonb_build_object('waha_subject', wanted.subject)
        ELSE c.metadata END,
    version = c.version + 1,
    updated_at = now()
FROM wanted
WHERE c.id = wanted.id
  AND (c.participants, c.subject) IS DISTINCT FROM (wanted.participants, wanted.subject)
