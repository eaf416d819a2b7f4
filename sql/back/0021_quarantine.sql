-- Loses: which rows of the quarantine have come in since; they count as waiting again.
DROP INDEX history_sync.quarantine_waiting;
-- Their payload went when they came in, and a row without one cannot be tried again.
DELETE FROM history_sync.quarantine WHERE resolved_at IS NOT NULL;
ALTER TABLE history_sync.quarantine
    DROP COLUMN resolved_at, DROP COLUMN resolved_run, DROP COLUMN became;
