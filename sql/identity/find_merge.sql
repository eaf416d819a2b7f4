-- The merge that brought some addresses to a contact, the newest first.
SELECT merge_id::text, absorbed::text
FROM history_sync.merges
WHERE kept = %(kept)s AND undone_at IS NULL AND absorbed_addresses && %(addresses)s::text[]
ORDER BY merged_at DESC, merge_id
LIMIT 1
