-- Loads of a pass that changed nothing, of days that were loaded again since. The newest load of a day
-- stays, and so do all loads of an import, which its report adds up.
DELETE FROM history_sync.balance AS b
USING history_sync.runs AS r
WHERE b.loaded_at < %(before)s AND b.inserted + b.updated + b.quarantined = 0
  AND r.run_id = b.run_id AND r.channel_id = b.channel_id
  AND r.import_id IS NULL AND r.status <> 'running'
  AND EXISTS (
      SELECT FROM history_sync.balance AS newer
      WHERE newer.channel_id = b.channel_id AND newer.day = b.day
        AND newer.loaded_at > b.loaded_at
  )
