-- From when on rows are new. What this look sees of the time before the last one is what was still
-- running then, so `since` follows one look behind. The CRM's own clock may go a little otherwise than
-- the server's: a minute more is looked at; and once a day everything, for a row whose times are no
-- times of writing.
WITH known AS (
    SELECT since, whole_at < now() - interval '1 day' AS is_due
    FROM history_sync.live_looks WHERE channel_id = %(channel_id)s
), active AS (
    SELECT coalesce(array_agg(l.virtualxid), '{}') AS running
    FROM pg_locks AS l
    INNER JOIN pg_stat_activity AS a USING (pid)
    INNER JOIN pg_database AS d ON d.oid = a.datid AND d.datname = current_database()
    WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.granted
      AND l.pid <> pg_backend_pid()
      -- It writes nothing that could be missed, and may run for hours.
      AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
), noted AS (
    INSERT INTO history_sync.live_looks AS look (channel_id, since, looked_at, running, whole_at)
    SELECT %(channel_id)s, '-infinity', now(), running, now() FROM active
    ON CONFLICT (channel_id) DO UPDATE SET (since, looked_at, running, whole_at) = (
        SELECT
            CASE WHEN is_open THEN look.since ELSE look.looked_at END,
            CASE WHEN is_open THEN look.looked_at ELSE now() END,
            CASE WHEN is_open THEN look.running ELSE excluded.running END,
            CASE WHEN look.whole_at < now() - interval '1 day' THEN now() ELSE look.whole_at END
        FROM (SELECT look.running && excluded.running AS is_open) AS told
    )
)
SELECT coalesce(
    (SELECT CASE WHEN is_due THEN '-infinity' ELSE since - interval '1 minute' END FROM known),
    '-infinity'
)::text
