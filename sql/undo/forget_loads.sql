-- After people were joined or parted, as in identity/forget_days.sql.
DELETE FROM history_sync.loaded_days
WHERE channel_id = ANY(%(channel_ids)s::uuid[])
  AND EXISTS (
      SELECT FROM undoing WHERE relation IN ('history_sync.identities', 'history_sync.merges')
  )
