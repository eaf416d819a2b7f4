-- Each row once, as this transaction found it. What the run itself made goes as a whole when the run
-- is undone, so it is not held: a first import holds nothing.
-- Subject and members of groups follow from WAHA's lists, at any time.
WITH found AS (
    SELECT h.id
    FROM to_hold AS h
    INNER JOIN public.messages AS m ON m.id = h.id
    WHERE h.kind = 'message' AND NOT EXISTS (
        SELECT FROM history_sync.writes AS w
        WHERE w.run_id = %(run_id)s::uuid AND w.written_at = m.created_at
    )
), known AS (
    SELECT h.id, p.chat_id
    FROM to_hold AS h
    INNER JOIN public.contacts AS c ON c.id = h.id
    LEFT JOIN history_sync.people AS p ON p.contact_id = h.id
    WHERE h.kind = 'contact' AND NOT EXISTS (
        SELECT FROM history_sync.writes AS w
        WHERE w.run_id = %(run_id)s::uuid AND w.written_at = c.created_at
    )
), movers AS (
    SELECT id FROM to_hold WHERE kind = 'mover'
)
INSERT INTO held (relation, row_id, image)
SELECT 'public.messages', m.id, history_sync.image(m)
FROM found INNER JOIN public.messages AS m USING (id)
UNION ALL
SELECT 'history_sync.message_keys', k.message_id, history_sync.image(k)
FROM found INNER JOIN history_sync.message_keys AS k ON k.message_id = found.id
WHERE k.inserted_by_run <> %(run_id)s::uuid
UNION ALL
SELECT 'history_sync.places', id, history_sync.places_of(id)
FROM found
WHERE EXISTS (SELECT FROM history_sync.places AS p WHERE p.message_id = found.id)
UNION ALL
SELECT 'public.contacts', c.id, history_sync.image(c)
FROM known INNER JOIN public.contacts AS c USING (id)
UNION ALL
SELECT 'history_sync.people', p.contact_id, history_sync.image(p)
FROM known INNER JOIN history_sync.people AS p ON p.contact_id = known.id
UNION ALL
SELECT 'public.contact_custom_fields', f.id, history_sync.image(f)
FROM known INNER JOIN public.contact_custom_fields AS f ON f.contact_id = known.id
UNION ALL
SELECT 'public.contact_pipeline_statuses', s.id, history_sync.image(s)
FROM known INNER JOIN public.contact_pipeline_statuses AS s ON s.contact_id = known.id
UNION ALL
SELECT
    'public.chats', c.id,
    history_sync.image(c) - CASE WHEN c.chat_type = 'group'
        THEN '{participants,subject,metadata}' ELSE '{}' END::text[]
FROM (SELECT DISTINCT chat_id AS id FROM known) AS theirs INNER JOIN public.chats AS c USING (id)
UNION ALL
SELECT
    'history_sync.identities',
    history_sync.id_of('identity/' || i.project_id || '/' || i.address), history_sync.image(i)
FROM movers INNER JOIN history_sync.identities AS i ON i.contact_id = movers.id
UNION ALL
-- The CRM's own sessions; ours are cut anew.
SELECT 'public.sessions', s.id, jsonb_build_object('contact_id', s.contact_id)
FROM movers INNER JOIN public.sessions AS s ON s.contact_id = movers.id
WHERE NOT EXISTS (SELECT FROM history_sync.sessions AS ours WHERE ours.session_id = s.id)
UNION ALL
SELECT DISTINCT
    'history_sync.merges', m.merge_id, jsonb_build_object('undone_at', m.undone_at)
FROM movers INNER JOIN history_sync.merges AS m ON movers.id IN (m.kept, m.absorbed)
ON CONFLICT DO NOTHING
