WITH counted AS (
    SELECT
        sum(seen) AS seen, sum(inserted) AS inserted, sum(updated) AS updated,
        sum(unchanged) AS unchanged, sum(duplicate) AS duplicate, sum(filtered) AS filtered,
        sum(quarantined) AS quarantined
    FROM history_sync.balance
    WHERE channel_id = %(channel_id)s AND run_id = ANY(%(run_ids)s::uuid[])
), worked AS (
    SELECT
        sum(contacts_created) AS contacts_created, sum(sessions_created) AS sessions_created,
        sum(requests) AS requests, sum(retries) AS retries
    FROM history_sync.runs
    WHERE channel_id = %(channel_id)s AND run_id = ANY(%(run_ids)s::uuid[])
)
SELECT * FROM counted CROSS JOIN worked
