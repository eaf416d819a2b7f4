-- Both conversations, now that takers have theirs.
UPDATE moves AS m
SET giver_chat = giver.chat_id, taker_chat = taker.chat_id
FROM history_sync.people AS giver, history_sync.people AS taker
WHERE giver.contact_id = m.giver AND taker.contact_id = m.taker
