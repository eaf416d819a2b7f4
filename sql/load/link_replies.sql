-- Both directions: a message of this window that quotes a stored one, and a stored message whose
-- quoted one has only now arrived. A new message that quotes what was there, or what comes with it, is
-- linked where it is inserted, for one more version of a row costs as much as the row. Each by an
-- index of its own, row by row, so that it costs what is staged.
UPDATE public.messages AS m
SET reply_to_id = linked.target_id, updated_at = now()
FROM (
    SELECT quoting.message_id, target.message_id AS target_id
    FROM staged_messages AS s
    CROSS JOIN LATERAL (
        SELECT k.* FROM history_sync.message_keys AS k
        WHERE k.message_id = s.message_id AND k.reply_to_stanza IS NOT NULL
        OFFSET 0
    ) AS quoting
    INNER JOIN history_sync.message_keys AS target
        ON target.channel_id = quoting.channel_id
       AND target.chat_id = quoting.chat_id
       AND target.stanza_id = quoting.reply_to_stanza
    WHERE NOT s.is_new
    UNION
    SELECT quoting.message_id, s.message_id
    FROM staged_messages AS s
    CROSS JOIN LATERAL (
        SELECT k.* FROM history_sync.message_keys AS k
        WHERE k.channel_id = %(channel_id)s AND k.reply_to_stanza = s.stanza_id
          AND k.chat_id = s.chat_id
        OFFSET 0
    ) AS quoting
) AS linked
WHERE m.id = linked.message_id AND m.reply_to_id IS NULL AND m.deleted_at IS NULL
