-- The first release stored a row that says "revoked" as a message of its own. It is met again under
-- the message that it names, so the old row goes, softly.
WITH retired AS (
    UPDATE public.messages AS m
    SET
        deleted_at = r.read_at,
        metadata = m.metadata || history_sync.revoked('row', r.read_at),
        session_id = NULL,
        updated_at = now()
    FROM staged_rows AS r
    WHERE r.is_mark AND r.row_key <> r.waha_id
      AND m.channel_id = %(channel_id)s AND m.channel_message_id = r.row_key
      AND m.deleted_at IS NULL AND m.source = 'history_import'
      AND m.metadata ->> 'kind' = 'revoked' AND m.metadata -> 'revoked' IS NULL
    RETURNING m.contact_id
)
INSERT INTO touched_contacts (contact_id)
SELECT DISTINCT contact_id FROM retired
ON CONFLICT DO NOTHING
