-- What the run put in goes, and what it let out waits again: its payload is in the archive.
WITH waiting AS (
    UPDATE history_sync.quarantine SET resolved_at = NULL, resolved_run = NULL, became = NULL
    WHERE resolved_run = %(run_id)s::uuid AND first_run <> %(run_id)s::uuid
)
DELETE FROM history_sync.quarantine WHERE first_run = %(run_id)s::uuid
