INSERT INTO history_sync.directory AS known (
    channel_id, address, has_chat, book_name, push_name, subject, members, listed_at
)
SELECT
    %(channel_id)s, e.address, e.has_chat, e.book_name, e.push_name, e.subject, e.members::jsonb,
    %(listed_at)s
FROM unnest(
    %(addresses)s::text[], %(has_chat)s::boolean[], %(book_names)s::text[],
    %(push_names)s::text[], %(subjects)s::text[], %(members)s::text[]
) AS e (address, has_chat, book_name, push_name, subject, members)
ON CONFLICT (channel_id, address) DO UPDATE SET
    has_chat = excluded.has_chat, book_name = excluded.book_name,
    push_name = excluded.push_name, subject = excluded.subject,
    -- A group that is listed without its members has some all the same.
    members = coalesce(excluded.members, known.members), listed_at = excluded.listed_at
