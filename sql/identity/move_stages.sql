-- A stage in a pipeline where the other contact has none.
WITH moved AS (
    UPDATE public.contact_pipeline_statuses AS s
    SET contact_id = m.taker, updated_at = now()
    FROM (SELECT DISTINCT giver, taker, merge_id FROM moves WHERE takes_all) AS m
    WHERE s.contact_id = m.giver AND s.deleted_at IS NULL
      AND NOT EXISTS (
          SELECT FROM public.contact_pipeline_statuses AS theirs
          WHERE theirs.contact_id = m.taker AND theirs.pipeline_id = s.pipeline_id
            AND theirs.deleted_at IS NULL
      )
    RETURNING m.merge_id, s.id
)
INSERT INTO history_sync.merged_rows (merge_id, relation, row_id)
SELECT merge_id, 'contact_pipeline_statuses', id FROM moved
