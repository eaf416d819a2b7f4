SELECT
    r.day,
    count(*) FILTER (WHERE o.outcome = 'inserted') AS inserted,
    count(*) FILTER (WHERE o.outcome = 'updated') AS updated,
    count(*) FILTER (WHERE o.outcome = 'unchanged') AS unchanged,
    count(*) FILTER (WHERE o.outcome = 'duplicate') AS duplicate
FROM staged_rows AS r
INNER JOIN staged_messages AS s USING (chat_id, stanza_id)
INNER JOIN history_sync.message_keys AS k
    ON k.channel_id = %(channel_id)s AND k.chat_id = r.chat_id AND k.stanza_id = r.stanza_id
LEFT JOIN changed_messages AS changed ON changed.message_id = k.message_id
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN s.is_new AND r.is_primary THEN 'inserted'
        WHEN s.is_new OR r.waha_id <> k.waha_id THEN 'duplicate'
        WHEN changed.message_id IS NOT NULL THEN 'updated'
        ELSE 'unchanged'
    END AS outcome
) AS o
GROUP BY r.day
