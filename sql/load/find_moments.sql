-- The first and the last moment of this window's messages, as they are stored by now, by contact and
-- chat; as far as times can be trusted. What is only the mark of a revoke has no time of its own.
INSERT INTO moments (contact_id, chat_id, first_at, last_at)
SELECT contact_id, chat_id, min(at), max(at)
FROM (
    SELECT contact_id, chat_id, at
    FROM staged_messages
    WHERE is_new AND time_trusted
      AND (kind_is_known OR metadata ->> 'kind' IS DISTINCT FROM 'revoked')
    UNION ALL
    SELECT (k.key).contact_id, (k.key).chat_id, (k.key).at
    FROM staged_messages AS s
    CROSS JOIN LATERAL (
        SELECT t AS key FROM history_sync.message_keys AS t
        WHERE t.message_id = s.message_id AND t.channel_id = %(channel_id)s
        OFFSET 0
    ) AS k
    WHERE NOT s.is_new AND (k.key).time_trusted AND (
        (k.key).kind_is_known OR NOT EXISTS (
            SELECT FROM public.messages AS m
            WHERE m.id = s.message_id AND history_sync.is_mark(k.key, m)
        )
    )
) AS seen
GROUP BY contact_id, chat_id
