SELECT id, name, tenant_id FROM public.projects
WHERE deleted_at IS NULL AND id IN (SELECT project_id FROM public.channels WHERE deleted_at IS NULL)
ORDER BY name, id
