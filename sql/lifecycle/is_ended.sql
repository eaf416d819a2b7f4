SELECT EXISTS (
    SELECT FROM history_sync.imports
    WHERE channel_id = %(channel_id)s AND import_id::text = %(group)s
      AND status IN ('completed', 'failed')
)
