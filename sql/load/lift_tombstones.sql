-- A message that was only missed, and is shown again, was never revoked: a server had lost its store
-- for a while. What WhatsApp said itself is never taken back. The mark of a row that a person brought
-- back goes too, so that a later revoke counts.
WITH lifted AS (
    UPDATE public.messages AS m
    SET deleted_at = NULL, metadata = m.metadata - 'revoked', updated_at = now()
    FROM staged_messages AS s
    WHERE m.id = s.message_id AND NOT s.is_new AND s.gone_by IS NULL
      AND m.metadata #>> '{revoked,by}' = 'absence'
      AND EXISTS (
          SELECT FROM history_sync.places AS p
          WHERE p.message_id = m.id AND p.gone_at IS NULL
      )
      -- The CRM's own writer may have stored it anew meanwhile; then that row is the message.
      AND NOT EXISTS (
          SELECT FROM public.messages AS other
          WHERE other.channel_id = m.channel_id AND other.deleted_at IS NULL
            AND other.channel_message_id = m.channel_message_id AND other.id <> m.id
      )
    RETURNING m.id
)
INSERT INTO changed_messages (message_id)
SELECT id FROM lifted
ON CONFLICT DO NOTHING
