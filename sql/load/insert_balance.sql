INSERT INTO history_sync.balance (
    run_id, channel_id, day, seen, inserted, updated, unchanged, duplicate, filtered, quarantined,
    reasons
)
VALUES (
    %(run_id)s, %(channel_id)s, %(day)s, %(seen)s, %(inserted)s, %(updated)s, %(unchanged)s,
    %(duplicate)s, %(filtered)s, %(quarantined)s, %(reasons)s
)
