-- Held rows that have changed, by the columns that differ; as hold_rows.sql looked at them. Only what
-- this transaction wrote can have (`xmin`), and places, of which some may be gone.
WITH seen AS (
    SELECT h.relation, h.row_id, history_sync.image(m) AS image
    FROM held AS h INNER JOIN public.messages AS m ON m.id = h.row_id
    WHERE h.relation = 'public.messages' AND m.xmin = pg_current_xact_id()::xid
    UNION ALL
    SELECT h.relation, h.row_id, history_sync.image(k)
    FROM held AS h INNER JOIN history_sync.message_keys AS k ON k.message_id = h.row_id
    WHERE h.relation = 'history_sync.message_keys' AND k.xmin = pg_current_xact_id()::xid
    UNION ALL
    SELECT h.relation, h.row_id, history_sync.places_of(h.row_id)
    FROM held AS h
    WHERE h.relation = 'history_sync.places'
    UNION ALL
    SELECT h.relation, h.row_id, history_sync.image(c)
    FROM held AS h INNER JOIN public.contacts AS c ON c.id = h.row_id
    WHERE h.relation = 'public.contacts' AND c.xmin = pg_current_xact_id()::xid
    UNION ALL
    SELECT h.relation, h.row_id, history_sync.image(p)
    FROM held AS h INNER JOIN history_sync.people AS p ON p.contact_id = h.row_id
    WHERE h.relation = 'history_sync.people' AND p.xmin = pg_current_xact_id()::xid
    UNION ALL
    SELECT h.relation, h.row_id, history_sync.image(f)
    FROM held AS h INNER JOIN public.contact_custom_fields AS f ON f.id = h.row_id
    WHERE h.relation = 'public.contact_custom_fields' AND f.xmin = pg_current_xact_id()::xid
    UNION ALL
    SELECT h.relation, h.row_id, history_sync.image(s)
    FROM held AS h INNER JOIN public.contact_pipeline_statuses AS s ON s.id = h.row_id
    WHERE h.relation = 'public.contact_pipeline_statuses' AND s.xmin = pg_current_xact_id()::xid
    UNION ALL
    SELECT
        h.relation, h.row_id,
        history_sync.image(c) - CASE WHEN c.chat_type = 'group'
            THEN '{participants,subject,metadata}' ELSE '{}' END::text[]
    FROM held AS h INNER JOIN public.chats AS c ON c.id = h.row_id
    WHERE h.relation = 'public.chats' AND c.xmin = pg_current_xact_id()::xid
    UNION ALL
    SELECT h.relation, h.row_id, history_sync.image(i)
    FROM held AS h
    INNER JOIN history_sync.identities AS i
        ON i.project_id = (h.image ->> 'project_id')::uuid AND i.address = h.image ->> 'address'
    WHERE h.relation = 'history_sync.identities' AND i.xmin = pg_current_xact_id()::xid
    UNION ALL
    SELECT h.relation, h.row_id, jsonb_build_object('contact_id', s.contact_id)
    FROM held AS h INNER JOIN public.sessions AS s ON s.id = h.row_id
    WHERE h.relation = 'public.sessions' AND s.xmin = pg_current_xact_id()::xid
    UNION ALL
    SELECT h.relation, h.row_id, jsonb_build_object('undone_at', m.undone_at)
    FROM held AS h INNER JOIN history_sync.merges AS m ON m.merge_id = h.row_id
    WHERE h.relation = 'history_sync.merges' AND m.xmin = pg_current_xact_id()::xid
)
INSERT INTO history_sync.changes (run_id, channel_id, relation, row_id, before, after)
SELECT
    %(run_id)s::uuid, %(channel_id)s, h.relation, h.row_id,
    (
        SELECT jsonb_object_agg(was.key, was.value) FROM jsonb_each(h.image) AS was
        WHERE seen.image -> was.key IS DISTINCT FROM was.value
    ),
    (
        SELECT jsonb_object_agg(is_now.key, is_now.value) FROM jsonb_each(seen.image) AS is_now
        WHERE h.image -> is_now.key IS DISTINCT FROM is_now.value
    )
FROM held AS h
INNER JOIN seen USING (relation, row_id)
WHERE seen.image <> h.image
