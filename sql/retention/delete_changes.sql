-- With the moments of the same runs: without either a run cannot be undone any more, and says so.
WITH runs AS (
    UPDATE history_sync.runs SET is_recorded = false
    WHERE is_recorded AND started_at < %(before)s AND status <> 'running'
), moments AS (
    DELETE FROM history_sync.writes WHERE written_at < %(before)s
)
DELETE FROM history_sync.changes WHERE changed_at < %(before)s
