UPDATE public.chats AS c
SET participants = (
        SELECT coalesce(jsonb_agg(member ORDER BY place), '[]')
        FROM jsonb_array_elements(c.participants) WITH ORDINALITY AS told (member, place)
        WHERE member ->> 'id' NOT IN (SELECT contact_id::text FROM departed)
    ), version = c.version + 1, updated_at = now()
WHERE c.project_id = %(project_id)s AND EXISTS (
    SELECT FROM departed
    WHERE c.participants @> jsonb_build_array(jsonb_build_object('id', departed.contact_id))
)
