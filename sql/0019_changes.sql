-- What a run wrote over, so that one run can be undone. What it inserted needs no record: it carries
-- the moment of the run's own transaction, and a message key names its run.

-- The moments at which this pipeline wrote. Every row that a transaction writes carries its moment, so
-- a row of the CRM that carries another one was written by somebody else.
CREATE TABLE history_sync.writes (
    run_id uuid NOT NULL,
    channel_id uuid NOT NULL REFERENCES public.channels (id) ON DELETE CASCADE,
    written_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, written_at, channel_id)
);
CREATE INDEX writes_moment ON history_sync.writes (written_at);

-- Rows that were there and that a run changed: the columns that differ, as they were and as it left
-- them. A row that stays as it was leaves nothing here.
CREATE TABLE history_sync.changes (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id uuid NOT NULL,
    channel_id uuid NOT NULL REFERENCES public.channels (id) ON DELETE CASCADE,
    -- With its schema.
    relation text NOT NULL,
    row_id uuid NOT NULL,
    before jsonb NOT NULL,
    after jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX changes_run ON history_sync.changes (run_id);
CREATE INDEX changes_row ON history_sync.changes (row_id);

ALTER TABLE history_sync.runs
    -- Whether what it changed is on record. Runs before this are not; nor are those grown old.
    ADD COLUMN is_recorded boolean NOT NULL DEFAULT false,
    ADD COLUMN undone_at timestamptz,
    ADD COLUMN undone_by text,
    -- How many rows of each kind went, and how many went back to what they were.
    ADD COLUMN undone jsonb;
ALTER TABLE history_sync.runs ALTER COLUMN is_recorded SET DEFAULT true;

-- A row without what counts writes, and without the session, which follows from the messages.
CREATE FUNCTION history_sync.image(told anyelement) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT to_jsonb(told) - '{version,updated_at,session_id}'::text[]
$$;

-- Where a message stands, as one value.
CREATE FUNCTION history_sync.places_of(message uuid) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT jsonb_build_object(
        'places', coalesce(jsonb_agg(to_jsonb(p) ORDER BY p.day, p.waha_id), '[]')
    )
    FROM history_sync.places AS p WHERE p.message_id = message
$$;
