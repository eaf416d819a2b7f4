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
    -- As in redact_messages.sql, which runs after this.
    OR c.row_id IN (
        SELECT m.id FROM public.messages AS m
        WHERE m.project_id = %(project_id)s
          AND (array_to_string(m.mentions, ' ') ~ %(in_text)s OR m.metadata::text ~ %(in_text)s)
    )
    OR c.before::text ~ %(in_text)s OR c.after::text ~ %(in_text)s
    OR c.before::text ~ %(ids)s OR c.after::text ~ %(ids)s
)
