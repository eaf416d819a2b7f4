-- Written on contacts that stay; those of the others go with them.
DELETE FROM public.contact_custom_fields AS f
USING run_moments
WHERE run_moments.written_at = f.created_at AND substr(f.id::text, 15, 1) = '8'
