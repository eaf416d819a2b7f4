-- A contact that a person has deleted meanwhile stays deleted.
WITH released AS (
    UPDATE history_sync.people AS p
    SET absorbed_by = NULL
    FROM moves AS m
    WHERE p.contact_id = m.taker AND p.absorbed_by IS NOT NULL
    RETURNING p.contact_id, p.chat_id
), opened AS (
    UPDATE public.chats AS c
    SET deleted_at = NULL, version = c.version + 1, updated_at = now()
    FROM released
    WHERE c.id = released.chat_id AND c.deleted_at IS NOT NULL
      AND substr(c.id::text, 15, 1) = '5'
)
UPDATE public.contacts AS c
SET deleted_at = NULL, version = c.version + 1, updated_at = now()
FROM released
WHERE c.id = released.contact_id
  AND EXISTS (
      SELECT FROM history_sync.merges AS m
      WHERE m.absorbed = c.id AND m.merged_at = c.deleted_at
  )
