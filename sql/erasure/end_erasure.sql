UPDATE history_sync.erasures
SET ended_at = now(), files = '{}', counts = counts || %(counts)s::jsonb
WHERE erasure_id = %(erasure_id)s AND ended_at IS NULL
