SELECT address, book_name, push_name, subject, listed_at
FROM history_sync.directory
WHERE channel_id = %(channel_id)s AND address = ANY(%(addresses)s)
