-- The lock lasts as long as the transaction. Should its holder vanish without a word (a power cut,
-- a stopped process), the server ends the session after the lease and the slot is free again.
SELECT slot, set_config('idle_in_transaction_session_timeout', %(lease_ms)s, true) AS lease
FROM history_sync.courtesy_slots
WHERE server = %(server)s AND slot <= %(concurrency)s
ORDER BY slot
LIMIT 1
FOR UPDATE SKIP LOCKED
