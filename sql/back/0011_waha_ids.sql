-- Loses nothing.
DROP FUNCTION history_sync.waha_id(text);
