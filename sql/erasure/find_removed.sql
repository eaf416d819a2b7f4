-- What was said with the person one to one, by either side, and what the person said in groups.
INSERT INTO removed (message_id, channel_id, contact_id, chat_id, day)
SELECT m.id, m.channel_id, m.contact_id, m.chat_id, k.day
FROM public.messages AS m
LEFT JOIN history_sync.message_keys AS k ON k.message_id = m.id
WHERE m.project_id = %(project_id)s AND (
    m.contact_id IN (SELECT contact_id FROM departed)
    OR m.chat_id IN (SELECT chat_id FROM emptied_chats)
    OR k.chat_id IN (SELECT chat_id FROM emptied_chats)
    OR k.address = ANY(%(addresses)s::text[])
    OR m.metadata ->> 'sender' = ANY(%(addresses)s::text[])
    OR m.channel_message_id ~ %(in_ids)s
)
