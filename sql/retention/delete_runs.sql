-- Passes of which no load is left, and nothing else: no import's, none that made a contact or a session
-- or was undone, and never a channel's last run.
DELETE FROM history_sync.runs AS r
WHERE r.ended_at < %(before)s AND r.status = 'completed' AND r.import_id IS NULL
  AND r.contacts_created + r.sessions_created = 0 AND r.undone_at IS NULL
  AND NOT EXISTS (
      SELECT FROM history_sync.balance AS b
      WHERE b.run_id = r.run_id AND b.channel_id = r.channel_id
        AND b.day BETWEEN r.from_day AND r.to_day
  )
  AND EXISTS (
      SELECT FROM history_sync.runs AS later
      WHERE later.channel_id = r.channel_id AND later.started_at > r.started_at
  )
