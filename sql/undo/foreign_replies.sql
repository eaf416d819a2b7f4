-- Messages that answer one of the run's, and whose link does not follow from what WhatsApp says.
SELECT 'messages', m.id::text
FROM public.messages AS m
INNER JOIN removed ON removed.message_id = m.reply_to_id
INNER JOIN history_sync.message_keys AS target ON target.message_id = removed.message_id
LEFT JOIN history_sync.message_keys AS k ON k.message_id = m.id
WHERE k.reply_to_stanza IS DISTINCT FROM target.stanza_id
  AND NOT EXISTS (SELECT FROM removed AS gone WHERE gone.message_id = m.id)
ORDER BY m.id
