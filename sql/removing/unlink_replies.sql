UPDATE public.messages AS m
SET reply_to_id = NULL, updated_at = now()
FROM removed
WHERE m.reply_to_id = removed.message_id
  AND NOT EXISTS (SELECT FROM removed AS gone WHERE gone.message_id = m.id)
