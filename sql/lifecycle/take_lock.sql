-- Held by an open transaction, not by the session: it holds behind a pooler in transaction mode,
-- too, and ends with the process. The transaction has no snapshot, so it keeps no vacuum back.
SELECT
    set_config('idle_in_transaction_session_timeout', '0', true),
    pg_advisory_xact_lock_shared(hashtextextended('ventros/import/' || %(channel_id)s::text, 0))
