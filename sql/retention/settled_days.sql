-- Days that have stopped growing: what was read of them will hardly be written again.
SELECT c.day
FROM history_sync.coverage AS c
WHERE c.channel_id = %(channel_id)s AND c.day < %(before)s AND c.day = ANY(%(days)s::date[])
  AND c.state IN ('settled', 'exhausted')
ORDER BY c.day
