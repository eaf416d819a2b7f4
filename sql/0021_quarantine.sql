-- What became of rows in quarantine once they could be read.
ALTER TABLE history_sync.quarantine
    -- Null while the row waits. A row that has left gives its payload up: the archive has it still.
    ADD COLUMN resolved_at timestamptz,
    ADD COLUMN resolved_run uuid,
    -- What the load made of it: an outcome of the balance, or why it was left out.
    ADD COLUMN became text;
CREATE INDEX quarantine_waiting ON history_sync.quarantine (channel_id, day)
    WHERE resolved_at IS NULL;
