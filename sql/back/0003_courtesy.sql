-- Loses nothing: limits of requests begin anew.
DROP TABLE history_sync.courtesy_pace;
DROP TABLE history_sync.courtesy_slots;
