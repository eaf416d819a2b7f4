UPDATE history_sync.merges AS merge
SET kept_after = jsonb_build_object('contact', to_jsonb(c), 'person', to_jsonb(p)),
    moved = coalesce((
        SELECT jsonb_object_agg(relation, number) FROM (
            SELECT relation, count(*) AS number FROM history_sync.merged_rows AS r
            WHERE r.merge_id = merge.merge_id GROUP BY relation
        ) AS counted
    ), '{}')
FROM public.contacts AS c, history_sync.people AS p
WHERE merge.merge_id IN (SELECT merge_id FROM moves)
  AND c.id = merge.kept AND p.contact_id = merge.kept
