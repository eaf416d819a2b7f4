-- Addresses of the people and groups whose messages stand in these days.
SELECT i.address
FROM history_sync.identities AS i
WHERE i.project_id = %(project_id)s AND i.contact_id IN (
    SELECT k.contact_id
    FROM history_sync.message_keys AS k
    WHERE k.channel_id = %(channel_id)s AND k.day = ANY(%(days)s::date[])
)
ORDER BY i.address
