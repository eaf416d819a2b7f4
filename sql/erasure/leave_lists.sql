UPDATE history_sync.directory AS d
SET members = (
    SELECT coalesce(jsonb_agg(member ORDER BY place), '[]')
    FROM jsonb_array_elements(d.members) WITH ORDINALITY AS told (member, place)
    WHERE member ->> 'address' <> ALL(%(addresses)s::text[])
)
WHERE d.channel_id = ANY(%(channel_ids)s::uuid[]) AND d.members::text ~ %(in_text)s
