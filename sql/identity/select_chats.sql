SELECT contact_id::text, chat_id::text FROM history_sync.people
WHERE contact_id = ANY(%(contacts)s::uuid[])
