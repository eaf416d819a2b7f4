-- Where the reading of what is new begins: at the newest message, or, where an import found none at
-- all, when that import began.
SELECT
    y.shown, coalesce(
        s.watermark,
        (
            SELECT max(i.started_at) FROM history_sync.imports AS i
            WHERE i.channel_id = c.id AND i.status = 'completed' AND NOT i.partial
        )
    ) AS known_until,
    (
        SELECT i.max_per_chat FROM history_sync.imports AS i
        WHERE i.channel_id = c.id ORDER BY i.requested_at DESC LIMIT 1
    ) AS max_per_chat
FROM public.channels AS c
LEFT JOIN history_sync.channel_state AS s ON s.channel_id = c.id
LEFT JOIN history_sync.sync_state AS y ON y.channel_id = c.id
WHERE c.id = %(channel_id)s
