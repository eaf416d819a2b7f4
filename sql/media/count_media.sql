SELECT state, coalesce(reason, '') AS reason, count(*) AS files, coalesce(sum(bytes), 0)::bigint AS bytes
FROM history_sync.media
WHERE channel_id = %(channel_id)s
GROUP BY state, reason
ORDER BY state, reason
