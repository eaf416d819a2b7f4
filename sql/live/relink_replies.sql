-- Answers to a row of ours that has become a copy answer the CRM's row now.
UPDATE public.messages AS m
SET reply_to_id = d.kept_id, updated_at = now()
FROM doubled AS d
INNER JOIN history_sync.message_keys AS quoting
    ON quoting.channel_id = d.channel_id AND quoting.chat_id = d.chat_id
   AND quoting.reply_to_stanza = d.stanza_id
WHERE m.id = quoting.message_id AND m.reply_to_id = d.message_id
