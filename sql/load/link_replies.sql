-- Both directions: a staged message that quotes a stored one, and a stored message whose quoted
-- one has only now arrived. Each by an index of its own, so that it costs what is staged.
UPDATE public.messages AS m
SET reply_to_id = linked.target_id, updated_at = now()
FROM (
    SELECT quoting.message_id, target.message_id AS target_id
    FROM staged_messages AS s
    INNER JOIN history_sync.message_keys AS quoting
        ON quoting.channel_id = %(channel_id)s AND quoting.message_id = s.message_id
    INNER JOIN history_sync.message_keys AS target
        ON target.channel_id = quoting.channel_id
       AND target.chat_id = quoting.chat_id
       AND target.stanza_id = quoting.reply_to_stanza
    UNION
    SELECT quoting.message_id, target.message_id
    FROM staged_messages AS s
    INNER JOIN history_sync.message_keys AS target
        ON target.channel_id = %(channel_id)s AND target.message_id = s.message_id
    INNER JOIN history_sync.message_keys AS quoting
        ON quoting.channel_id = target.channel_id
       AND quoting.reply_to_stanza = target.stanza_id
       AND quoting.chat_id = target.chat_id
) AS linked
WHERE m.id = linked.message_id AND m.reply_to_id IS NULL AND m.deleted_at IS NULL
