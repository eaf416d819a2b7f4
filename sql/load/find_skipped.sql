-- Messages that the CRM stored, under the very same id, between our look and our insert.
SELECT count(*)
FROM staged_messages AS s
WHERE s.is_new AND NOT EXISTS (
    SELECT FROM history_sync.message_keys AS k WHERE k.message_id = s.message_id
    OFFSET 0
)
