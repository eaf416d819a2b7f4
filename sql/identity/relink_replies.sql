-- A reply points into its own conversation, wherever that is now.
UPDATE public.messages AS m
SET reply_to_id = target.message_id, updated_at = now()
FROM history_sync.message_keys AS quoting
LEFT JOIN history_sync.message_keys AS target
    ON target.channel_id = quoting.channel_id
   AND target.chat_id = quoting.chat_id
   AND target.stanza_id = quoting.reply_to_stanza
WHERE quoting.channel_id = ANY(%(channel_ids)s)
  AND quoting.chat_id IN (SELECT giver_chat FROM moves UNION SELECT taker_chat FROM moves)
  AND quoting.reply_to_stanza IS NOT NULL
  AND m.id = quoting.message_id
  AND m.source = 'history_import'
  AND m.reply_to_id IS DISTINCT FROM target.message_id
