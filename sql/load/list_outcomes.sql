-- What became of each row of this window.
SELECT
    r.day, r.row_key,
    CASE
        WHEN s.is_new AND r.is_primary THEN 'inserted'
        WHEN s.is_new OR r.waha_id <> k.waha_id THEN 'duplicate'
        WHEN changed.message_id IS NOT NULL THEN 'updated'
        ELSE 'unchanged'
    END AS outcome,
    r.waha_id <> k.waha_id AS is_copy,
    changed.message_id IS NOT NULL AS has_changed,
    CASE WHEN k.day <> r.day THEN k.message_id::text END AS elsewhere,
    CASE WHEN coalesce(m.deleted_at, s.gone_at) IS NOT NULL THEN k.message_id::text END AS gone
FROM staged_rows AS r
INNER JOIN staged_messages AS s USING (chat_id, stanza_id)
INNER JOIN history_sync.message_keys AS k
    ON k.channel_id = %(channel_id)s AND k.chat_id = r.chat_id AND k.stanza_id = r.stanza_id
LEFT JOIN public.messages AS m ON m.id = k.message_id AND NOT s.is_new
LEFT JOIN changed_messages AS changed ON changed.message_id = k.message_id
