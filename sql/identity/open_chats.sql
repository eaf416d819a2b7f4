-- A conversation that was closed when a merge was undone, and is wanted again.
UPDATE public.chats AS c
SET deleted_at = NULL, version = c.version + 1, updated_at = now()
FROM moves AS m
WHERE c.id = m.taker_chat
  AND c.deleted_at IN (SELECT undone_at FROM history_sync.merges AS u WHERE u.kept = m.taker)
