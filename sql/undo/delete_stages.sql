DELETE FROM public.contact_pipeline_statuses AS s
USING run_moments
WHERE run_moments.written_at = s.created_at AND substr(s.id::text, 15, 1) = '8'
  AND s.contact_id IN (SELECT contact_id FROM departed)
