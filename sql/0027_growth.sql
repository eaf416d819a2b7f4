-- Tables that grow with messages are cleaned when a fiftieth of them has changed, not a fifth: of a
-- hundred million keys a fifth is five gigabytes of dead rows, and as many dead index entries.

ALTER TABLE history_sync.message_keys SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05
);
ALTER TABLE history_sync.sessions SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05
);
-- Each load of a day that has changed writes the day's fingerprints anew, as one value.
ALTER TABLE history_sync.loaded_days SET (
    autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_scale_factor = 0.02
);
