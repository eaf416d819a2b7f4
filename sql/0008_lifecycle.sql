-- What the CRM's own columns cannot say of an import: who runs it, which runs belong to it, and
-- whether somebody ever decided that this channel may be imported.

CREATE TABLE history_sync.imports (
    -- Also the correlation id of the channel's events.
    import_id uuid PRIMARY KEY,
    channel_id uuid NOT NULL REFERENCES public.channels (id) ON DELETE CASCADE,
    -- What makes several runs one import: a backfill, a command, or a run by itself.
    run_group text NOT NULL,
    strategy text NOT NULL,
    -- Only some chats: such an import does not move the channel's last_import_date.
    partial boolean NOT NULL,
    status text NOT NULL CHECK (status IN ('requested', 'running', 'completed', 'failed')),
    error text,
    requested_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    ended_at timestamptz
);
-- Two imports of one channel cannot be open at once, whatever the processes believe.
CREATE UNIQUE INDEX imports_open
    ON history_sync.imports (channel_id) WHERE status IN ('requested', 'running');

ALTER TABLE history_sync.runs
    ADD COLUMN import_id uuid REFERENCES history_sync.imports (import_id) ON DELETE SET NULL;
CREATE INDEX runs_import ON history_sync.runs (import_id) WHERE import_id IS NOT NULL;

-- `channels.history_import_enabled` is false by default; before this moment that is no decision.
ALTER TABLE history_sync.channel_state ADD COLUMN import_decided_at timestamptz;
