-- Conversations that a merge opened for a contact that had none go when nothing is left in them.
WITH emptied AS (
    UPDATE history_sync.people AS p
    SET chat_id = NULL
    FROM history_sync.merges AS m
    WHERE m.merge_id = ANY(%(merge_ids)s::uuid[]) AND p.contact_id = m.kept
      AND m.kept_before -> 'person' ->> 'chat_id' IS NULL
      AND NOT EXISTS (SELECT FROM history_sync.message_keys AS k WHERE k.chat_id = p.chat_id
          AND k.channel_id = ANY(%(channel_ids)s))
    RETURNING m.kept_after -> 'person' ->> 'chat_id' AS chat_id
)
UPDATE public.chats AS c
SET deleted_at = now(), version = c.version + 1, updated_at = now()
FROM emptied
WHERE c.id = emptied.chat_id::uuid AND c.deleted_at IS NULL
  AND substr(c.id::text, 15, 1) = '5'
