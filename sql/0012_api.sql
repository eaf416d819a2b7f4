-- Calls of the HTTP API, by key, for as long as a rate limit looks back: several processes serve it.
-- Nothing is lost with them, so they need no log of writes.
CREATE UNLOGGED TABLE history_sync.api_calls (
    key_id uuid NOT NULL,
    called_at timestamptz NOT NULL
);
CREATE INDEX api_calls_key ON history_sync.api_calls (key_id, called_at);
