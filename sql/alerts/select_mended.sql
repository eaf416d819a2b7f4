SELECT a.channel_id, a.said, a.said_at
FROM history_sync.alerts AS a
INNER JOIN history_sync.channel_state AS s ON s.channel_id = a.channel_id
WHERE a.topic = 'problem' AND s.problem IS NULL
ORDER BY a.said_at
