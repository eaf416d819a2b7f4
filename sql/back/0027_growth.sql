-- Loses nothing: tables are cleaned when a fifth of them has changed, as the server's default is.
ALTER TABLE history_sync.loaded_days RESET (
    autovacuum_vacuum_scale_factor, toast.autovacuum_vacuum_scale_factor
);
ALTER TABLE history_sync.sessions RESET (
    autovacuum_vacuum_scale_factor, autovacuum_analyze_scale_factor,
    autovacuum_vacuum_insert_scale_factor
);
ALTER TABLE history_sync.message_keys RESET (
    autovacuum_vacuum_scale_factor, autovacuum_analyze_scale_factor,
    autovacuum_vacuum_insert_scale_factor
);
