-- What a load leaves for the next one, so that it costs what has changed.

-- Rows of the archive that were loaded, day by day. A row that is as it was then is neither decoded
-- nor staged again, as long as the keys of its day are those that the load left.
CREATE TABLE history_sync.loaded_days (
    channel_id uuid NOT NULL REFERENCES public.channels (id) ON DELETE CASCADE,
    day date NOT NULL,
    -- A hash of all else that decides what becomes of a row: the loader, the channel's settings.
    circumstances text NOT NULL,
    -- Fingerprints of rows and what became of each, as an Arrow file (`transform/prints.py`).
    rows bytea NOT NULL,
    -- Messages of these rows whose key has another day.
    elsewhere uuid[] NOT NULL,
    -- Messages of these rows that were deleted: one that a person brings back has its session to get,
    -- and what WAHA has said of it meanwhile to learn.
    gone uuid[] NOT NULL,
    -- The day's messages then, and those elsewhere: how many, and a sum of hashes of their ids and
    -- of the runs that stored them, for one that was deleted and came back has the same id.
    keys bigint NOT NULL,
    digest bigint NOT NULL,
    -- New with every change, so that whoever has read this knows whether it still stands.
    stamp uuid NOT NULL,
    PRIMARY KEY (channel_id, day)
);
-- Hashes do not compress.
ALTER TABLE history_sync.loaded_days ALTER COLUMN rows SET STORAGE EXTERNAL;

ALTER TABLE history_sync.channel_state
    -- Whether a load found evidence of who is whom that contacts may not follow yet.
    ADD COLUMN settle_due boolean NOT NULL DEFAULT false;
