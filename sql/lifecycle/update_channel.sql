UPDATE channels
SET history_import_status = %(status)s,
    history_import_stats = %(stats)s::jsonb,
    last_import_date = CASE
        WHEN %(imported)s THEN now() AT TIME ZONE 'UTC' ELSE last_import_date
    END,
    updated_at = now()
WHERE id = %(channel_id)s
