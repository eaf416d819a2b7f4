-- Loses nothing that the next load does not find again, more slowly.
ALTER TABLE history_sync.channel_state DROP COLUMN settle_due;
DROP TABLE history_sync.loaded_days;
