-- Contacts that the run made and that stay, because others have written since.
UPDATE public.contacts AS c
SET first_interaction_at = left_over.first_at, last_interaction_at = left_over.last_at,
    version = c.version + 1, updated_at = now()
FROM history_sync.people AS p
CROSS JOIN LATERAL (
    SELECT min(m."timestamp") AS first_at, max(m."timestamp") AS last_at
    FROM public.messages AS m
    WHERE m.contact_id = p.contact_id AND m.deleted_at IS NULL
) AS left_over
WHERE p.created_by_run = %(run_id)s::uuid AND c.id = p.contact_id
  AND c.created_at IN (SELECT written_at FROM run_moments)
  AND left_over.first_at IS NOT NULL
