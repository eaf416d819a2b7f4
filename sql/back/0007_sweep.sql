-- Loses: which LIDs were asked for; they are asked for again.
DROP FUNCTION history_sync.id_of(text);
DROP TABLE history_sync.lid_lookups;
