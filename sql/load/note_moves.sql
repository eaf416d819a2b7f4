-- Where messages stood that this window moves to an earlier time: an edit that came before its
-- original stood at the time of the edit, and figures taken from it must follow it back.
INSERT INTO moved_messages (contact_id, chat_id, was_at)
SELECT DISTINCT m.contact_id, m.chat_id, m."timestamp"
FROM staged_messages AS s
INNER JOIN history_sync.message_keys AS k
    ON k.channel_id = %(channel_id)s AND k.message_id = s.message_id
INNER JOIN public.messages AS m ON m.id = s.message_id
WHERE NOT s.is_new AND NOT s.only_revoked AND s.time_trusted AND k.time_trusted
  AND s.at < m."timestamp"
