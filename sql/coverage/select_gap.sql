-- The days of the past that nobody has looked at yet, though everything is wanted: between the
-- calendar's first day, which stands for all that is older, and the first day that is covered.
SELECT (%(start)s::date + 1) AS from_day, min(c.day) - 1 AS to_day
FROM history_sync.coverage AS c
WHERE c.channel_id = %(channel_id)s AND c.day > %(start)s AND c.state <> 'unknown'
  AND EXISTS (
      SELECT FROM history_sync.coverage AS f
      WHERE f.channel_id = c.channel_id AND f.day = %(start)s AND f.state <> 'unknown'
  )
HAVING min(c.day) > %(start)s::date + 1
