INSERT INTO history_sync.balance (
    run_id, channel_id, day, seen, inserted, updated, unchanged, duplicate, filtered, quarantined,
    reasons
)
SELECT %(run_id)s, %(channel_id)s, told.*
FROM unnest(
    %(days)s::date[], %(seen)s::bigint[], %(inserted)s::bigint[], %(updated)s::bigint[],
    %(unchanged)s::bigint[], %(duplicate)s::bigint[], %(filtered)s::bigint[],
    %(quarantined)s::bigint[], %(reasons)s::jsonb[]
) AS told
