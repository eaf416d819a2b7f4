-- Sessions by how many messages of the channel stand in them.
SELECT size, count(*) AS sessions
FROM (
    SELECT CASE
        WHEN count(*) = 1 THEN '1' WHEN count(*) <= 5 THEN '2-5' WHEN count(*) <= 20 THEN '6-20'
        WHEN count(*) <= 100 THEN '21-100' ELSE '101+'
    END AS size
    FROM history_sync.message_keys AS k
    INNER JOIN public.messages AS m ON m.id = k.message_id AND m.deleted_at IS NULL
    WHERE k.channel_id = %(channel_id)s AND m.session_id IS NOT NULL
    GROUP BY m.session_id
) AS held
GROUP BY size
