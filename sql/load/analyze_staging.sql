-- A temporary table has no statistics, and the planner would take it for ten pages.
-- Of what rows are found by alone: to look through their texts took more than half of the time.
ANALYZE staged_people, staged_identities, staged_rows (day, chat_id, stanza_id, row_key),
    staged_messages (chat_id, stanza_id, message_id, contact_id, reply_to_stanza, from_me)
