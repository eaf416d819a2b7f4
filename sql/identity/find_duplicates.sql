-- One message under two addresses of one person: one row stays. A row that the CRM wrote stays
-- before one of ours, a message before a mere mark of its revoke, a live one before a deleted one,
-- then the older one.
INSERT INTO doubled (message_id, kept_id, channel_id, chat_id, stanza_id, merge_id, copy)
SELECT message_id, kept_id, channel_id, chat_id, stanza_id, merge_id, place - 1
FROM (
    SELECT
        c.message_id, c.channel_id, c.chat_id, c.stanza_id,
        first_value(c.message_id) OVER ranked AS kept_id,
        row_number() OVER ranked AS place,
        max(c.merge_id::text) OVER (PARTITION BY c.channel_id, c.chat_id, c.stanza_id)::uuid
            AS merge_id
    FROM (
        SELECT message_id, channel_id, chat_id, stanza_id, merge_id FROM placed
        UNION ALL
        SELECT k.message_id, k.channel_id, k.chat_id, k.stanza_id, NULL
        FROM history_sync.message_keys AS k
        INNER JOIN (SELECT DISTINCT channel_id, chat_id, stanza_id FROM placed) AS p
            USING (channel_id, chat_id, stanza_id)
        WHERE NOT EXISTS (SELECT FROM placed AS moving WHERE moving.message_id = k.message_id)
    ) AS c
    INNER JOIN public.messages AS m ON m.id = c.message_id
    INNER JOIN history_sync.message_keys AS k ON k.message_id = c.message_id
    WINDOW ranked AS (
        PARTITION BY c.channel_id, c.chat_id, c.stanza_id
        ORDER BY m.source = 'history_import', history_sync.is_mark(k, m),
            m.deleted_at IS NOT NULL, m.created_at, m.id
    )
) AS contenders
WHERE place > 1
