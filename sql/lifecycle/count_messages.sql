-- A day that several runs of the import have loaded counts as it was loaded last. `filtered` was
-- left out on purpose and `duplicate` is a message that counts already: neither is in the total.
SELECT
    coalesce(sum(inserted + updated + unchanged), 0)::bigint AS processed,
    coalesce(sum(quarantined), 0)::bigint AS failed
FROM (
    SELECT DISTINCT ON (b.day) b.inserted, b.updated, b.unchanged, b.quarantined
    FROM history_sync.runs AS r
    INNER JOIN history_sync.balance AS b ON b.run_id = r.run_id AND b.channel_id = r.channel_id
    WHERE r.import_id = %(import_id)s
    ORDER BY b.day, b.loaded_at DESC
) AS days
