-- Of each column the first value before the run and the last one it wrote.
WITH said AS (
    SELECT c.*
    FROM history_sync.changes AS c
    WHERE c.run_id = %(run_id)s::uuid
      AND NOT EXISTS (SELECT FROM removed WHERE removed.message_id = c.row_id)
), first AS (
    SELECT c.relation, c.row_id, jsonb_object_agg(old.key, old.value ORDER BY c.change_id DESC) AS told
    FROM said AS c CROSS JOIN LATERAL jsonb_each(c.before) AS old
    GROUP BY c.relation, c.row_id
), last AS (
    SELECT c.relation, c.row_id, jsonb_object_agg(new.key, new.value ORDER BY c.change_id) AS told
    FROM said AS c CROSS JOIN LATERAL jsonb_each(c.after) AS new
    GROUP BY c.relation, c.row_id
)
INSERT INTO undoing (relation, row_id, before, after)
SELECT relation, row_id, first.told, last.told
FROM first INNER JOIN last USING (relation, row_id)
