-- Keys, places, media wishes and enrichments go with them.
DELETE FROM public.messages AS m
USING removed
WHERE m.id = removed.message_id
