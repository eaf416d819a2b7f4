-- Both directions: a staged message that quotes a stored one, and a stored message whose quoted
-- one has only now arrived.
UPDATE public.messages AS m
SET reply_to_id = target.message_id, updated_at = now()
FROM history_sync.message_keys AS quoting
INNER JOIN history_sync.message_keys AS target
    ON target.channel_id = quoting.channel_id
   AND target.chat_id = quoting.chat_id
   AND target.stanza_id = quoting.reply_to_stanza
WHERE quoting.channel_id = %(channel_id)s
  AND quoting.reply_to_stanza IS NOT NULL
  AND m.id = quoting.message_id
  AND m.reply_to_id IS NULL
  AND m.deleted_at IS NULL
  AND (
      EXISTS (SELECT FROM staged_messages AS s WHERE s.message_id = quoting.message_id)
      OR EXISTS (SELECT FROM staged_messages AS s WHERE s.message_id = target.message_id)
  )
