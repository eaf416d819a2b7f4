-- A contact that this import made begins at the first stage of the channel's pipeline, at the time
-- of its first message. Contacts are made before their messages are stored, so the time is brought
-- forward when an older message comes; the row is the one of this id, as long as it is open.
-- Who has been moved, in this pipeline or out of it, stays where people put them.
WITH first_stage AS (
    SELECT s.id, s.pipeline_id
    FROM public.pipeline_statuses AS s
    INNER JOIN public.pipelines AS pl ON pl.id = s.pipeline_id
    WHERE s.pipeline_id = %(pipeline_id)s::uuid
      AND pl.deleted_at IS NULL AND pl.active IS NOT FALSE
      AND s.deleted_at IS NULL AND s.active IS NOT FALSE
      AND s.status_type IN ('open', 'active')
    ORDER BY s.position, s.created_at, s.id
    LIMIT 1
)
INSERT INTO public.contact_pipeline_statuses AS known (
    id, contact_id, pipeline_id, status_id, tenant_id, entered_at, created_at, updated_at
)
SELECT
    history_sync.id_of('stage/' || c.id || '/' || stage.pipeline_id), c.id, stage.pipeline_id,
    stage.id, %(tenant_id)s, coalesce(c.first_interaction_at, now()), now(), now()
FROM staged_people AS p
INNER JOIN history_sync.people AS person ON person.contact_id = p.contact_id
INNER JOIN public.contacts AS c ON c.id = p.contact_id
CROSS JOIN first_stage AS stage
LEFT JOIN public.contact_pipeline_statuses AS ours
    ON ours.id = history_sync.id_of('stage/' || c.id || '/' || stage.pipeline_id)
WHERE NOT p.is_group AND person.is_ours AND c.deleted_at IS NULL
  -- One that would stay as it is is not even locked, which would be written, too.
  AND CASE WHEN ours.id IS NULL THEN person.created_by_run = %(run_id)s::uuid
      ELSE ours.entered_at > coalesce(c.first_interaction_at, now()) END
  AND NOT EXISTS (
      SELECT FROM public.contact_pipeline_statuses AS open
      WHERE open.contact_id = c.id AND open.pipeline_id = stage.pipeline_id
        AND open.exited_at IS NULL AND open.deleted_at IS NULL
        AND open.id <> history_sync.id_of('stage/' || c.id || '/' || stage.pipeline_id)
  )
ON CONFLICT (id) DO UPDATE SET entered_at = excluded.entered_at, updated_at = now()
WHERE known.exited_at IS NULL AND known.deleted_at IS NULL
  AND excluded.entered_at < known.entered_at
