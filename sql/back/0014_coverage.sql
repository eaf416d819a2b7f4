-- Loses: when days are due for another look; each is looked at again.
DROP INDEX history_sync.message_keys_open;
DROP INDEX history_sync.coverage_check;
ALTER TABLE history_sync.coverage DROP COLUMN rows_read, DROP COLUMN check_at;
DROP FUNCTION history_sync.next_check(date, text, timestamptz, integer, text);
DROP FUNCTION history_sync.day_state(date, timestamptz, integer, timestamptz);
