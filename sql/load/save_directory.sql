INSERT INTO history_sync.directory AS known (
    channel_id, address, has_chat, book_name, push_name, subject, listed_at
)
SELECT %(channel_id)s, e.address, e.has_chat, e.book_name, e.push_name, e.subject, %(listed_at)s
FROM unnest(
    %(addresses)s::text[], %(has_chat)s::boolean[], %(book_names)s::text[],
    %(push_names)s::text[], %(subjects)s::text[]
) AS e (address, has_chat, book_name, push_name, subject)
ON CONFLICT (channel_id, address) DO UPDATE SET
    has_chat = excluded.has_chat, book_name = excluded.book_name,
    push_name = excluded.push_name, subject = excluded.subject, listed_at = excluded.listed_at
