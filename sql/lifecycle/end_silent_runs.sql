WITH counted AS (
    INSERT INTO history_sync.channel_totals AS known (channel_id, runs_failed)
    SELECT channel_id, count(*) FROM history_sync.runs
    WHERE import_id = %(import_id)s AND status = 'running'
    GROUP BY channel_id
    ON CONFLICT (channel_id) DO UPDATE SET runs_failed = known.runs_failed + excluded.runs_failed
)
UPDATE history_sync.runs SET status = 'failed', error = %(error)s, ended_at = now()
WHERE import_id = %(import_id)s AND status = 'running'
