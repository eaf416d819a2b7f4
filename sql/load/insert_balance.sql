WITH stored AS (
    INSERT INTO history_sync.balance (
        run_id, channel_id, day, seen, inserted, updated, unchanged, duplicate, filtered,
        quarantined, reasons
    )
    SELECT %(run_id)s, %(channel_id)s, told.*
    FROM unnest(
        %(days)s::date[], %(seen)s::bigint[], %(inserted)s::bigint[], %(updated)s::bigint[],
        %(unchanged)s::bigint[], %(duplicate)s::bigint[], %(filtered)s::bigint[],
        %(quarantined)s::bigint[], %(reasons)s::jsonb[]
    ) AS told
    RETURNING *
)
INSERT INTO history_sync.channel_totals AS known (
    channel_id, inserted, updated, unchanged, duplicate, filtered, quarantined
)
SELECT
    channel_id, sum(inserted), sum(updated), sum(unchanged), sum(duplicate), sum(filtered),
    sum(quarantined)
FROM stored
GROUP BY channel_id
ON CONFLICT (channel_id) DO UPDATE SET
    inserted = known.inserted + excluded.inserted,
    updated = known.updated + excluded.updated,
    unchanged = known.unchanged + excluded.unchanged,
    duplicate = known.duplicate + excluded.duplicate,
    filtered = known.filtered + excluded.filtered,
    quarantined = known.quarantined + excluded.quarantined
