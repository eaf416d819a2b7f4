-- Loses: open plans of imports, hints of webhooks, and how far passes came. Ask for open imports again.
DROP TABLE history_sync.hints;
DROP TABLE history_sync.sync_state;
ALTER TABLE history_sync.coverage
    DROP COLUMN read_at, DROP COLUMN checked_at, DROP COLUMN quiet_checks;
DROP TABLE history_sync.plan_ranges;
ALTER TABLE history_sync.runs DROP COLUMN failure;
ALTER TABLE history_sync.imports
    DROP COLUMN driver, DROP COLUMN days, DROP COLUMN max_per_chat, DROP COLUMN surveyed_at;
