-- Sessions that the CRM opened; ours are cut anew.
WITH moved AS (
    UPDATE public.sessions AS s
    SET contact_id = m.taker, version = s.version + 1, updated_at = now()
    FROM (SELECT DISTINCT giver, taker, merge_id FROM moves WHERE takes_all) AS m
    WHERE s.contact_id = m.giver
      AND NOT EXISTS (SELECT FROM history_sync.sessions AS ours WHERE ours.session_id = s.id)
    RETURNING m.merge_id, s.id
)
INSERT INTO history_sync.merged_rows (merge_id, relation, row_id)
SELECT merge_id, 'sessions', id FROM moved
