-- What was remembered of loaded days. A message that moves may be another row's copy from now on, so
-- its day is looked at as a whole; after people were taken apart that holds for every day, for a
-- message that was one row under both addresses returns only when its day is read again.
DELETE FROM history_sync.loaded_days AS d
WHERE d.channel_id = ANY(%(channel_ids)s)
  AND (
      %(everything)s
      OR (d.channel_id, d.day) IN (
          SELECT k.channel_id, k.day
          FROM history_sync.message_keys AS k
          WHERE k.message_id IN (SELECT message_id FROM placed UNION SELECT message_id FROM doubled)
      )
  )
