-- Runs that changed the same columns of the same rows later, changed what this run made, or stored
-- messages of the same people: what they found there is what this one left. Newest first.
WITH later AS (
    SELECT c.run_id, c.changed_at AS at
    FROM history_sync.changes AS c
    INNER JOIN undoing AS u USING (relation, row_id)
    WHERE c.run_id <> %(run_id)s::uuid
      AND c.change_id > (
          SELECT min(mine.change_id) FROM history_sync.changes AS mine
          WHERE mine.run_id = %(run_id)s::uuid AND mine.relation = c.relation
            AND mine.row_id = c.row_id
      )
      AND c.before ?| ARRAY(SELECT jsonb_object_keys(u.before))
    UNION ALL
    SELECT c.run_id, c.changed_at
    FROM history_sync.changes AS c
    INNER JOIN (
        SELECT message_id AS id FROM removed UNION SELECT contact_id FROM departed
    ) AS made ON made.id = c.row_id
    WHERE c.run_id <> %(run_id)s::uuid AND c.changed_at > (SELECT min(written_at) FROM run_moments)
    UNION ALL
    SELECT k.inserted_by_run, m.created_at
    FROM history_sync.message_keys AS k
    INNER JOIN (SELECT contact_id FROM concerned UNION SELECT contact_id FROM departed) AS people
        USING (contact_id)
    INNER JOIN public.messages AS m ON m.id = k.message_id
    WHERE k.inserted_by_run <> %(run_id)s::uuid AND m.source = 'history_import'
      AND m.created_at > (SELECT min(written_at) FROM run_moments)
    UNION ALL
    SELECT w.run_id, i.learned_at
    FROM history_sync.identities AS i
    INNER JOIN departed USING (contact_id)
    INNER JOIN history_sync.writes AS w ON w.written_at = i.learned_at
    WHERE w.run_id <> %(run_id)s::uuid AND i.learned_at > (SELECT min(written_at) FROM run_moments)
)
SELECT later.run_id::text
FROM later
WHERE NOT EXISTS (
    SELECT FROM history_sync.runs AS r WHERE r.run_id = later.run_id AND r.undone_at IS NOT NULL
)
GROUP BY later.run_id
ORDER BY max(later.at) DESC
