-- Calls of the HTTP API as far back as a rate limit looks, by key and kind of call: several
-- processes serve it. One row each, so that its lock is the turn of those who count at the same time.
-- Nothing is lost with them, so they need no log of writes.
CREATE UNLOGGED TABLE history_sync.api_calls (
    key_id uuid NOT NULL,
    kind text NOT NULL,
    -- The oldest first, never more than the limit.
    called_at timestamptz[] NOT NULL,
    -- Seconds until the newest attempt would have been let through; 0 where it was.
    wait double precision NOT NULL DEFAULT 0,
    -- When nothing of the row counts any more.
    idle_from timestamptz NOT NULL,
    PRIMARY KEY (key_id, kind)
) WITH (fillfactor = 50);
CREATE INDEX api_calls_idle ON history_sync.api_calls (idle_from);
