-- A reply points into its own conversation, wherever that is now. Conversation by conversation, and
-- reply by reply (OFFSET 0): put to all at once, the planner read every message.
UPDATE public.messages AS m
SET reply_to_id = linked.target_id, updated_at = now()
FROM (
    SELECT quoting.message_id, target.message_id AS target_id
    FROM (SELECT giver_chat FROM moves UNION SELECT taker_chat FROM moves) AS touched (chat_id)
    CROSS JOIN unnest(%(channel_ids)s::uuid[]) AS channel (channel_id)
    CROSS JOIN LATERAL (
        SELECT k.message_id, k.reply_to_stanza
        FROM history_sync.message_keys AS k
        WHERE k.channel_id = channel.channel_id AND k.chat_id = touched.chat_id
          AND k.reply_to_stanza IS NOT NULL
        OFFSET 0
    ) AS quoting
    LEFT JOIN LATERAL (
        SELECT k.message_id
        FROM history_sync.message_keys AS k
        WHERE k.channel_id = channel.channel_id AND k.chat_id = touched.chat_id
          AND k.stanza_id = quoting.reply_to_stanza
        OFFSET 0
    ) AS target ON true
    OFFSET 0
) AS linked
WHERE m.id = linked.message_id
  AND m.source = 'history_import'
  AND m.reply_to_id IS DISTINCT FROM linked.target_id
