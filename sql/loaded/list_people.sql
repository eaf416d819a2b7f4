-- Addresses of the people and groups whose messages stand in these days. Those who are there first
-- (OFFSET 0): from the addresses on, the planner walked all the years of whoever is not there, and half
-- of loading a million unchanged messages again went by in it.
SELECT i.address
FROM (
    SELECT DISTINCT contact_id
    FROM history_sync.message_keys
    WHERE channel_id = %(channel_id)s AND day = ANY(%(days)s::date[])
    OFFSET 0
) AS there
INNER JOIN history_sync.identities AS i USING (contact_id)
WHERE i.project_id = %(project_id)s
ORDER BY i.address
