-- The index that keeps a message of one id single, and that the loader's ON CONFLICT names.
SELECT 1
FROM pg_index AS i
WHERE i.indrelid = to_regclass('public.messages') AND i.indisunique AND i.indisvalid
  AND pg_get_indexdef(i.indexrelid) LIKE '%%(channel_id, channel_message_id)%%'
