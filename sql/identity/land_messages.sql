-- A copy that a merge had retired is live again. A conversation that the CRM left empty stays so.
UPDATE public.messages AS m
SET
    chat_id = CASE WHEN m.chat_id IS NOT NULL THEN p.chat_id END,
    contact_id = p.contact_id,
    deleted_at = CASE WHEN k.duplicate_of IS NULL OR NOT EXISTS (
        SELECT FROM history_sync.merged_rows AS r
        WHERE r.relation = 'copies' AND r.row_id = m.id
    ) THEN m.deleted_at END,
    updated_at = now()
FROM placed AS p
INNER JOIN history_sync.message_keys AS k ON k.message_id = p.message_id
WHERE m.id = p.message_id
  AND NOT EXISTS (SELECT FROM doubled AS d WHERE d.message_id = m.id)
