INSERT INTO history_sync.courtesy_slots (server, slot)
SELECT %(server)s, slot FROM generate_series(1, %(concurrency)s) AS slot
ON CONFLICT DO NOTHING
