-- A message that is gone is deleted softly and keeps all it said. A row that a person deleted is
-- left alone, and so is one that a person brought back: its metadata still names the revoke. Only
-- how and when the revoke is known may change, from a guess to WhatsApp's own word.
-- It leaves its session when that is ours (the CRM's own sessions are not ours to count).
WITH buried AS (
    UPDATE public.messages AS m
    SET
        deleted_at = s.gone_at,
        metadata = coalesce(m.metadata, '{}') || history_sync.revoked(s.gone_by, s.gone_at),
        session_id = CASE WHEN EXISTS (
            SELECT FROM history_sync.sessions AS ours WHERE ours.session_id = m.session_id
        ) THEN NULL ELSE m.session_id END,
        updated_at = now()
    FROM staged_messages AS s
    WHERE m.id = s.message_id AND NOT s.is_new AND s.gone_by IS NOT NULL
      AND CASE WHEN m.deleted_at IS NULL THEN m.metadata -> 'revoked' IS NULL
          -- A later absence, of a message that was shown in between, counts from its own reads.
          ELSE m.metadata #>> '{revoked,by}' = 'absence' AND (
              s.gone_by = 'row' OR s.gone_at > (m.metadata #>> '{revoked,at}')::timestamptz
          ) END
    RETURNING m.id
)
INSERT INTO changed_messages (message_id)
SELECT id FROM buried
ON CONFLICT DO NOTHING
