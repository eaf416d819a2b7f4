SELECT pg_advisory_xact_lock(hashtextextended('ventros/people/' || %(project_id)s::text, 0))
