-- What a person has to mend and was not told of, with the newest run that failed on it.
SELECT s.channel_id, s.problem, s.problem_since, (
    SELECT r.run_id FROM history_sync.runs AS r
    WHERE r.channel_id = s.channel_id AND r.status = 'failed'
    ORDER BY r.started_at DESC LIMIT 1
) AS run_id
FROM history_sync.channel_state AS s
LEFT JOIN history_sync.alerts AS a ON a.channel_id = s.channel_id AND a.topic = 'problem'
WHERE s.problem IS NOT NULL AND a.said IS DISTINCT FROM s.problem
ORDER BY s.problem_since
