-- Whatever asks for what is new asks from before the run's first day; lists are read anew, because
-- what they said of people may have gone with the run. So is the CRM's table looked through for rows
-- that no key names: some have lost theirs. Counters of loads (`channel_totals`) count on.
WITH looks AS (
    DELETE FROM history_sync.live_looks WHERE channel_id = ANY(%(run_channels)s::uuid[])
), lists AS (
    UPDATE history_sync.channel_state SET directory_read_at = NULL
    WHERE channel_id = ANY(%(run_channels)s::uuid[])
), passes AS (
    UPDATE history_sync.sync_state SET synced = NULL
    WHERE channel_id = ANY(%(run_channels)s::uuid[])
)
UPDATE public.channels AS c
SET last_import_date = least(c.last_import_date, r.from_day::timestamp), updated_at = now()
FROM history_sync.runs AS r
WHERE r.run_id = %(run_id)s::uuid AND c.id = r.channel_id AND c.last_import_date > r.from_day
