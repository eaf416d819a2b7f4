SELECT DISTINCT ON (day)
    day, seen, inserted, updated, unchanged, duplicate, filtered, quarantined, reasons, loaded_at
FROM history_sync.balance
WHERE channel_id = %(channel_id)s
ORDER BY day, loaded_at DESC
