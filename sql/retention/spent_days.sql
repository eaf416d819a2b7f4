-- Days that nobody needs the archive for: they have stopped growing, every row of them is in the CRM
-- or left out on purpose, and none waits in quarantine for a version that can read it.
SELECT c.day
FROM history_sync.coverage AS c
WHERE c.channel_id = %(channel_id)s AND c.day < %(before)s AND c.day = ANY(%(days)s::date[])
  AND c.state IN ('settled', 'exhausted')
  AND NOT EXISTS (
      SELECT FROM history_sync.quarantine AS q
      WHERE q.channel_id = c.channel_id AND q.day = c.day AND q.resolved_at IS NULL
  )
ORDER BY c.day
