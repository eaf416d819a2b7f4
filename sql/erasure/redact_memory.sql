WITH moved AS (
    UPDATE history_sync.merged_rows
    SET before = regexp_replace(before::text, %(in_text)s, '0', 'g')::jsonb
    WHERE before::text ~ %(in_text)s
)
DELETE FROM history_sync.changes AS c
WHERE c.channel_id = ANY(%(channel_ids)s::uuid[]) AND (
    c.row_id IN (SELECT contact_id FROM departed)
    OR c.row_id IN (SELECT message_id FROM removed)
    OR c.row_id IN (SELECT chat_id FROM emptied_chats)
    OR c.before::text ~ %(in_text)s OR c.after::text ~ %(in_text)s
    OR c.before::text ~ %(ids)s OR c.after::text ~ %(ids)s
)
