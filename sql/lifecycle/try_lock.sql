SELECT pg_try_advisory_xact_lock(hashtextextended('ventros/import/' || %(channel_id)s::text, 0))
