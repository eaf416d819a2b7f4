-- Rows of keys that have stopped calling. A row that is being counted is passed over: waiting for it
-- while holding one's own could be a deadlock.
DELETE FROM history_sync.api_calls WHERE (key_id, kind) IN (
    SELECT key_id, kind FROM history_sync.api_calls
    WHERE idle_from < now() LIMIT 100 FOR UPDATE SKIP LOCKED
)
