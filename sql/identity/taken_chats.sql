SELECT chat_id::text FROM history_sync.people WHERE chat_id = ANY(%(chats)s::uuid[])
