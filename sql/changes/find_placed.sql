-- Rows of ours that give their place to the CRM's, those that take it, and answers to either.
INSERT INTO to_hold (kind, id)
SELECT 'message', id
FROM (
    SELECT message_id AS id FROM placed
    UNION
    SELECT message_id FROM doubled
    UNION
    SELECT kept_id FROM doubled
    UNION
    SELECT m.id FROM public.messages AS m
    INNER JOIN history_sync.message_keys AS quoting ON quoting.message_id = m.id
    INNER JOIN doubled AS d
        ON d.channel_id = quoting.channel_id AND d.stanza_id = quoting.reply_to_stanza
       AND d.message_id = m.reply_to_id
) AS found
