-- A run that is said to have ended as it had ended already is not counted again; one whose days were
-- loaded and whose checks then failed counts as both. Returns what the run did.
WITH ending AS (
    SELECT channel_id FROM history_sync.runs
    WHERE run_id = %(run_id)s::uuid AND channel_id = %(channel_id)s AND status <> %(status)s
), counted AS (
    INSERT INTO history_sync.channel_totals AS known (channel_id, runs_completed, runs_failed)
    SELECT channel_id, (%(status)s = 'completed')::integer, (%(status)s = 'failed')::integer
    FROM ending
    ON CONFLICT (channel_id) DO UPDATE SET
        runs_completed = known.runs_completed + excluded.runs_completed,
        runs_failed = known.runs_failed + excluded.runs_failed
)
UPDATE history_sync.runs
SET status = %(status)s, error = %(error)s, failure = %(failure)s, ended_at = now()
WHERE run_id = %(run_id)s::uuid AND channel_id = %(channel_id)s
RETURNING
    from_day AS "from", to_day AS "to", days_read, days_loaded, messages_read, requests, retries, contacts_created,
    sessions_created, extract(epoch FROM now() - started_at)::float AS seconds
