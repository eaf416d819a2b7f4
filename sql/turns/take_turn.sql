-- Held by the open transaction; between two tries it has no snapshot, so it keeps no vacuum back.
SELECT pg_try_advisory_xact_lock(hashtextextended('ventros/turn/' || %(channel_id)s::text, 0))
FROM set_config('idle_in_transaction_session_timeout', '0', true)
