-- Which messages are known already. Row by row on purpose (OFFSET 0): keys are many, and the planner
-- would read all of a channel's. In a group a mark may hang on the admin who revoked, so a message that
-- takes its place keeps its own contact; fill_marks.sql gives it that place.
UPDATE staged_messages AS s
SET
    is_new = false,
    message_id = (found.key).message_id,
    contact_id = CASE WHEN NOT s.only_revoked AND NOT (found.key).kind_is_known AND EXISTS (
        SELECT FROM public.messages AS m
        WHERE m.id = (found.key).message_id AND history_sync.is_mark(found.key, m)
    ) THEN s.contact_id ELSE (found.key).contact_id END
FROM (
    SELECT k.key
    FROM staged_messages AS t
    CROSS JOIN LATERAL (
        SELECT k AS key FROM history_sync.message_keys AS k
        WHERE k.channel_id = %(channel_id)s AND k.chat_id = t.chat_id
          AND k.stanza_id = t.stanza_id
        OFFSET 0
    ) AS k
) AS found
WHERE s.chat_id = (found.key).chat_id AND s.stanza_id = (found.key).stanza_id
