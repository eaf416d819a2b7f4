-- What a merge moves, what it retires as a copy, and what the row that stays looked like before.
INSERT INTO history_sync.merged_rows (merge_id, relation, row_id, before)
SELECT merge_id, 'messages', message_id, NULL::jsonb FROM placed WHERE merge_id IS NOT NULL
UNION ALL
SELECT d.merge_id, 'copies', d.message_id, NULL
FROM doubled AS d
INNER JOIN public.messages AS m ON m.id = d.message_id
WHERE d.merge_id IS NOT NULL AND m.source = 'history_import' AND m.deleted_at IS NULL
UNION ALL
SELECT DISTINCT ON (d.merge_id, d.kept_id)
    d.merge_id, 'kept', d.kept_id,
    jsonb_build_object('message', to_jsonb(m), 'key', to_jsonb(k))
FROM doubled AS d
INNER JOIN public.messages AS m ON m.id = d.kept_id
INNER JOIN history_sync.message_keys AS k ON k.message_id = d.kept_id
WHERE d.merge_id IS NOT NULL
ON CONFLICT DO NOTHING
