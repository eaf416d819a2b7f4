-- What keeps a channel in step: the plan of an import, how far each day is known, what has changed.

ALTER TABLE history_sync.imports
    -- Who starts its runs: the run that began it (UI), the command that waits for them, or the
    -- sensor, which goes on until the plan is done.
    ADD COLUMN driver text NOT NULL DEFAULT 'run' CHECK (driver IN ('run', 'command', 'sensor')),
    -- What was asked for; null is no limit.
    ADD COLUMN days integer,
    ADD COLUMN max_per_chat integer,
    -- When WAHA was asked how far back its messages go; before that the plan covers the calendar.
    ADD COLUMN surveyed_at timestamptz;

-- Why a run failed, so that whoever plans knows whether trying again can help.
ALTER TABLE history_sync.runs ADD COLUMN failure text
    CHECK (failure IN ('configuration', 'not_ready', 'transient', 'poison'));

-- The days of an import, in the pieces that are run one at a time, the newest first.
CREATE TABLE history_sync.plan_ranges (
    import_id uuid NOT NULL REFERENCES history_sync.imports (import_id) ON DELETE CASCADE,
    from_day date NOT NULL,
    to_day date NOT NULL CHECK (to_day >= from_day),
    state text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    attempt integer NOT NULL DEFAULT 0,
    run_id uuid,
    failure text CHECK (failure IN ('configuration', 'not_ready', 'transient', 'poison')),
    error text,
    not_before timestamptz NOT NULL DEFAULT '-infinity',
    started_at timestamptz,
    ended_at timestamptz,
    PRIMARY KEY (import_id, from_day)
);

ALTER TABLE history_sync.coverage
    -- When WAHA was last asked for the whole day.
    ADD COLUMN read_at timestamptz,
    -- When it was last known whether the day still grows: a whole read, or one request that asked
    -- for a row beyond the last known one.
    ADD COLUMN checked_at timestamptz,
    -- Checks in a row that found nothing new.
    ADD COLUMN quiet_checks integer NOT NULL DEFAULT 0;
UPDATE history_sync.coverage SET
    read_at = last_grown_at, checked_at = last_grown_at,
    quiet_checks = CASE state WHEN 'settled' THEN 1 ELSE 0 END;

-- What the newest messages of a channel look like, as a hash.
CREATE TABLE history_sync.sync_state (
    channel_id uuid PRIMARY KEY REFERENCES public.channels (id) ON DELETE CASCADE,
    -- What the last probe showed, and what it had shown when the newest successful pass began. The
    -- channel has changed as long as they differ.
    shown text,
    shown_at timestamptz,
    synced text,
    synced_at timestamptz,
    -- Failures in a row, and until when the channel is left alone for them.
    failures integer NOT NULL DEFAULT 0,
    not_before timestamptz NOT NULL DEFAULT '-infinity'
);

-- What WAHA's webhooks said has happened: which message, never what is in it. Losing one changes
-- nothing but the moment at which its day is read.
CREATE TABLE history_sync.hints (
    channel_id uuid NOT NULL REFERENCES public.channels (id) ON DELETE CASCADE,
    event_id text NOT NULL,
    event text NOT NULL,
    stanza_id text,
    -- The message's own time, where the event tells it.
    message_at timestamptz,
    received_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz,
    PRIMARY KEY (channel_id, event_id)
);
CREATE INDEX hints_open ON history_sync.hints (channel_id) WHERE done_at IS NULL;
