SELECT config -> 'ai_processing', coalesce(ai_enabled, false)
FROM public.channels
WHERE id = %(channel_id)s
