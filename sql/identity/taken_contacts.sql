SELECT id::text FROM public.contacts WHERE id = ANY(%(contacts)s::uuid[])
