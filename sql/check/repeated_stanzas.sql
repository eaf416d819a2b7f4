-- Independent of our keys: parsed from the CRM's own rows. The same stanza id with the same person
-- (whatever the address) or in the same group is the same message.
WITH placed AS (
    SELECT
        m.id, named.stanza_id, (m."timestamp" AT TIME ZONE 'UTC')::date AS day,
        -- A full id names its conversation; a bare one leaves only the row's own contact.
        coalesce(i.contact_id::text, named.address, m.contact_id::text) AS correspondent
    FROM public.messages AS m
    CROSS JOIN LATERAL history_sync.waha_id(m.channel_message_id) AS named
    LEFT JOIN history_sync.identities AS i
        ON i.project_id = %(project_id)s AND i.address = named.address
    WHERE m.channel_id = %(channel_id)s AND m.deleted_at IS NULL
      AND m.channel_message_id IS NOT NULL
)
SELECT
    count(*) OVER () AS found, min(min(day)) OVER () AS from_day, max(max(day)) OVER () AS to_day,
    min(day) AS day, min(id::text) AS first_message, count(*) AS rows
FROM placed
GROUP BY stanza_id, correspondent
HAVING count(*) > 1
ORDER BY first_message
LIMIT 20
