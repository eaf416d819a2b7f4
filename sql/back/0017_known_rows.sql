-- Loses nothing that the next load does not find again, more slowly.
DROP FUNCTION history_sync.day_digest(uuid, date, uuid[]);
DROP TABLE history_sync.live_looks;
DROP TABLE history_sync.unknown_rows;
