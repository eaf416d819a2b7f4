DELETE FROM public.contacts AS c
USING departed
WHERE c.id = departed.contact_id
