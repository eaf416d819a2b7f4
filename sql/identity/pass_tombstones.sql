-- WhatsApp said of one copy that it was deleted for everyone; that is said of the message, and so is
-- a mark in the place of a message that was read under the other address. What was only missed under
-- one address may still be shown under the other, and says nothing here. As in the loader, a row
-- that a person deleted or brought back is left alone, and a tombstone leaves a session of ours.
WITH told AS (
    SELECT d.kept_id, min(coalesce(twin.deleted_at, k.read_at)) AS at
    FROM doubled AS d
    INNER JOIN public.messages AS twin ON twin.id = d.message_id
    INNER JOIN history_sync.message_keys AS k ON k.message_id = d.message_id
    WHERE history_sync.is_mark(k, twin)
        OR (twin.deleted_at IS NOT NULL AND twin.metadata #>> '{revoked,by}' = 'row')
    GROUP BY d.kept_id
)
UPDATE public.messages AS m
SET
    deleted_at = told.at,
    metadata = coalesce(m.metadata, '{}') || history_sync.revoked('row', told.at),
    session_id = CASE WHEN EXISTS (
        SELECT FROM history_sync.sessions AS ours WHERE ours.session_id = m.session_id
    ) THEN NULL ELSE m.session_id END,
    updated_at = now()
FROM told
INNER JOIN history_sync.message_keys AS k ON k.message_id = told.kept_id
WHERE m.id = told.kept_id AND NOT history_sync.is_mark(k, m)
  AND CASE WHEN m.deleted_at IS NULL THEN m.metadata -> 'revoked' IS NULL
      ELSE m.metadata #>> '{revoked,by}' = 'absence' END
