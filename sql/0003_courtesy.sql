-- How several processes share one WAHA server: slots for requests at the same time, and the moment
-- of the next one. Nothing here is worth keeping over a crash, so no write-ahead log is written.

-- A slot is taken by locking its row, not by a mark in it: whoever holds the lock holds the slot,
-- and the server itself gives it back when the holder's connection ends.
CREATE UNLOGGED TABLE history_sync.courtesy_slots (
    server text NOT NULL,
    slot integer NOT NULL,
    PRIMARY KEY (server, slot)
);

-- Updated for each request, so that there is room on the page for the next version of a row.
CREATE UNLOGGED TABLE history_sync.courtesy_pace (
    server text PRIMARY KEY,
    next_at timestamptz NOT NULL
) WITH (fillfactor = 50);
