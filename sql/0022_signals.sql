-- What signals are made of: counters, the breaker, and what a person was told.

-- Sums over all loads and runs of a channel, so that whoever watches need not add them up.
CREATE TABLE history_sync.channel_totals (
    channel_id uuid PRIMARY KEY REFERENCES public.channels (id) ON DELETE CASCADE,
    inserted bigint NOT NULL DEFAULT 0,
    updated bigint NOT NULL DEFAULT 0,
    unchanged bigint NOT NULL DEFAULT 0,
    duplicate bigint NOT NULL DEFAULT 0,
    filtered bigint NOT NULL DEFAULT 0,
    quarantined bigint NOT NULL DEFAULT 0,
    requests bigint NOT NULL DEFAULT 0,
    retries bigint NOT NULL DEFAULT 0,
    runs_completed bigint NOT NULL DEFAULT 0,
    runs_failed bigint NOT NULL DEFAULT 0,
    breaker_openings bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO history_sync.channel_totals (
    channel_id, inserted, updated, unchanged, duplicate, filtered, quarantined, requests, retries,
    runs_completed, runs_failed
)
SELECT
    c.id, coalesce(b.inserted, 0), coalesce(b.updated, 0), coalesce(b.unchanged, 0),
    coalesce(b.duplicate, 0), coalesce(b.filtered, 0), coalesce(b.quarantined, 0),
    coalesce(r.requests, 0), coalesce(r.retries, 0), coalesce(r.completed, 0), coalesce(r.failed, 0)
FROM public.channels AS c
LEFT JOIN (
    SELECT
        channel_id, sum(inserted) AS inserted, sum(updated) AS updated,
        sum(unchanged) AS unchanged, sum(duplicate) AS duplicate, sum(filtered) AS filtered,
        sum(quarantined) AS quarantined
    FROM history_sync.balance GROUP BY channel_id
) AS b ON b.channel_id = c.id
LEFT JOIN (
    SELECT
        channel_id, sum(requests) AS requests, sum(retries) AS retries,
        count(*) FILTER (WHERE status = 'completed') AS completed,
        count(*) FILTER (WHERE status = 'failed') AS failed
    FROM history_sync.runs GROUP BY channel_id
) AS r ON r.channel_id = c.id
WHERE b.channel_id IS NOT NULL OR r.channel_id IS NOT NULL;

-- A breaker lives in the process that asks WAHA: until when the one that opened last lets nothing
-- through. Another process may have its own one closed.
ALTER TABLE history_sync.channel_state ADD COLUMN breaker_open_until timestamptz;

CREATE INDEX runs_running ON history_sync.runs (channel_id) WHERE status = 'running';
CREATE INDEX quarantine_reason ON history_sync.quarantine (channel_id, reason);

-- What a person was told of a channel, so that it is told once: its problem, until that is cleared,
-- and the last failure of each kind.
CREATE TABLE history_sync.alerts (
    channel_id uuid NOT NULL REFERENCES public.channels (id) ON DELETE CASCADE,
    topic text NOT NULL
        CHECK (topic IN ('problem', 'configuration', 'not_ready', 'transient', 'poison')),
    said text NOT NULL,
    said_at timestamptz NOT NULL,
    PRIMARY KEY (channel_id, topic)
);
