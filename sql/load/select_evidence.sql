-- The LID table is WAHA's own answer to the question; the other sources say it in passing.
SELECT lid, phone
FROM history_sync.evidence
WHERE project_id = %(project_id)s
ORDER BY array_position(ARRAY['lids', 'contacts', 'groups', 'messages'], source), lid, phone
