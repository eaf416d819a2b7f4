UPDATE history_sync.erasures SET counts = counts || %(counts)s::jsonb
WHERE erasure_id = %(erasure_id)s
