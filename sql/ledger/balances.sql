SELECT day, seen, inserted, updated, unchanged, duplicate, filtered, quarantined, reasons
FROM history_sync.balance
WHERE channel_id = %(channel_id)s AND run_id = ANY(%(run_ids)s::uuid[])
ORDER BY day
