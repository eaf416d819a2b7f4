-- Loses: what runs wrote over; they cannot be undone any more.
DROP FUNCTION history_sync.places_of(uuid);
DROP FUNCTION history_sync.image(anyelement);
ALTER TABLE history_sync.runs
    DROP COLUMN is_recorded, DROP COLUMN undone_at, DROP COLUMN undone_by, DROP COLUMN undone;
DROP TABLE history_sync.changes;
DROP TABLE history_sync.writes;
