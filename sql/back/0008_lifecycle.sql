-- Loses: which imports there were. What the CRM's own channels say of them stays.
ALTER TABLE history_sync.channel_state DROP COLUMN import_decided_at;
DROP INDEX history_sync.runs_import;
ALTER TABLE history_sync.runs DROP COLUMN import_id;
DROP TABLE history_sync.imports;
