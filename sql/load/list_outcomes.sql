-- What became of each row of this window. Keys and rows one by one, and only of messages that were
-- there before: the planner would read all of them.
SELECT
    r.day, r.row_key,
    CASE
        WHEN s.is_new AND r.is_primary THEN 'inserted'
        WHEN s.is_new OR r.waha_id <> k.waha_id THEN 'duplicate'
        WHEN changed.message_id IS NOT NULL THEN 'updated'
        ELSE 'unchanged'
    END AS outcome,
    r.waha_id <> coalesce(k.waha_id, s.waha_id) AS is_copy,
    changed.message_id IS NOT NULL AS has_changed,
    CASE WHEN coalesce(k.day, s.day) <> r.day THEN s.message_id::text END AS elsewhere,
    CASE WHEN coalesce(m.deleted_at, s.gone_at) IS NOT NULL THEN s.message_id::text END AS gone
FROM staged_rows AS r
INNER JOIN staged_messages AS s USING (chat_id, stanza_id)
LEFT JOIN LATERAL (
    SELECT t.waha_id, t.day FROM history_sync.message_keys AS t
    WHERE t.message_id = s.message_id AND NOT s.is_new
    OFFSET 0
) AS k ON true
LEFT JOIN LATERAL (
    SELECT t.deleted_at FROM public.messages AS t
    WHERE t.id = s.message_id AND NOT s.is_new
    OFFSET 0
) AS m ON true
LEFT JOIN changed_messages AS changed ON changed.message_id = s.message_id
