-- The channels that are kept in step: imported once, at least in part, active, not turned off, and
-- not being imported just now. What a person never decided on was enabled by its first import.
SELECT
    c.id, s.engine, s.watermark, y.shown, y.synced, y.shown IS DISTINCT FROM y.synced AS has_changed,
    coalesce(y.not_before, '-infinity') > %(now)s AS backs_off,
    EXISTS (
        SELECT FROM history_sync.hints AS h WHERE h.channel_id = c.id AND h.done_at IS NULL
    ) AS has_hints
FROM public.channels AS c
LEFT JOIN history_sync.channel_state AS s ON s.channel_id = c.id
LEFT JOIN history_sync.sync_state AS y ON y.channel_id = c.id
WHERE c.deleted_at IS NULL AND c.status = 'active'
  AND (c.history_import_enabled OR s.import_decided_at IS NULL)
  AND (
      s.watermark IS NOT NULL
      OR EXISTS (
          SELECT FROM history_sync.imports AS i
          WHERE i.channel_id = c.id AND i.status = 'completed' AND NOT i.partial
      )
  )
  AND NOT EXISTS (
      SELECT FROM history_sync.imports AS i
      WHERE i.channel_id = c.id AND i.status IN ('requested', 'running')
  )
