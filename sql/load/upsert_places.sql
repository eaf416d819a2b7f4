-- Where WAHA shows the messages of this window, or misses them; only of messages that stand in
-- several places or were missed in one. Of two tellings of one place the newer one holds, so a window
-- that was put together before another and is loaded after it takes nothing back.
WITH told AS (
    SELECT
        s.message_id, r.day, r.waha_id,
        max(greatest(r.read_at, a.seen_at)) AS seen_at,
        -- Rows without a name of their own share an id: one that is there is enough.
        CASE WHEN count(a.missed_at) = count(*) THEN max(a.missed_at) END AS missed_at,
        CASE WHEN count(a.gone_at) = count(*) THEN max(a.gone_at) END AS gone_at,
        count(a.row_key) > 0 AS was_missed
    FROM staged_rows AS r
    INNER JOIN staged_messages AS s USING (chat_id, stanza_id)
    LEFT JOIN staged_absences AS a ON a.day = r.day AND a.row_key = r.row_key
    WHERE NOT r.is_mark
    GROUP BY s.message_id, r.day, r.waha_id
), own AS (
    SELECT k.message_id, k.day, k.waha_id, k.read_at
    FROM staged_messages AS s
    CROSS JOIN LATERAL (
        SELECT t.* FROM history_sync.message_keys AS t
        WHERE t.message_id = s.message_id AND t.channel_id = %(channel_id)s
        OFFSET 0
    ) AS k
    WHERE NOT s.is_new
), of_interest AS (
    SELECT message_id FROM told WHERE was_missed
    UNION
    SELECT message_id FROM told WHERE message_id IN (SELECT message_id FROM history_sync.places)
    UNION
    SELECT message_id
    FROM (
        SELECT message_id, day, waha_id FROM told
        UNION
        SELECT message_id, day, waha_id FROM own
    ) AS standing
    GROUP BY message_id
    HAVING count(*) > 1
)
INSERT INTO history_sync.places AS known (
    channel_id, message_id, day, waha_id, seen_at, missed_at, gone_at
)
SELECT %(channel_id)s, message_id, day, waha_id, seen_at, missed_at, gone_at
FROM told
INNER JOIN of_interest USING (message_id)
UNION ALL
-- The place where it stood alone until now.
SELECT %(channel_id)s, own.message_id, own.day, own.waha_id, own.read_at, NULL, NULL
FROM own
INNER JOIN of_interest USING (message_id)
WHERE NOT EXISTS (
    SELECT FROM told
    WHERE told.message_id = own.message_id AND told.day = own.day AND told.waha_id = own.waha_id
)
AND NOT EXISTS (
    SELECT FROM history_sync.places AS p
    WHERE p.message_id = own.message_id AND p.day = own.day AND p.waha_id = own.waha_id
)
ON CONFLICT (message_id, day, waha_id) DO UPDATE SET
    seen_at = excluded.seen_at, missed_at = excluded.missed_at, gone_at = excluded.gone_at
WHERE greatest(excluded.seen_at, excluded.missed_at, excluded.gone_at)
    > greatest(known.seen_at, known.missed_at, known.gone_at)
