-- Held messages that stood in one place, and by now in several.
INSERT INTO held (relation, row_id, image)
SELECT DISTINCT 'history_sync.places', h.row_id, '{"places": []}'::jsonb
FROM held AS h
INNER JOIN history_sync.places AS p ON p.message_id = h.row_id
WHERE h.relation = 'public.messages'
ON CONFLICT DO NOTHING
