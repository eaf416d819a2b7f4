-- Parsed from the CRM's own rows. The same stanza id with the same person (whatever the address) or in
-- the same group is the same message. Independent of our keys; only that of some days the rows are
-- compared that stand in them, and those elsewhere that are known to have one of their stanza ids.
WITH asked AS (
    SELECT DISTINCT stanza_id
    FROM history_sync.message_keys
    WHERE channel_id = %(channel_id)s AND day = ANY(%(days)s::date[])
), known AS (
    SELECT id AS message_id
    FROM public.messages
    WHERE channel_id = %(channel_id)s AND "timestamp" BETWEEN %(since)s AND %(until)s
    UNION
    SELECT near.message_id
    FROM asked
    CROSS JOIN LATERAL (
        SELECT message_id FROM history_sync.message_keys
        -- As a SELECT: see repeated_keys.sql.
        WHERE channel_id = (SELECT %(channel_id)s::uuid) AND stanza_id = asked.stanza_id
        UNION ALL
        SELECT message_id FROM history_sync.unknown_rows
        WHERE channel_id = %(channel_id)s AND stanza_id = asked.stanza_id
        OFFSET 0
    ) AS near
), compared AS (
    SELECT id, channel_message_id, contact_id, "timestamp"
    FROM public.messages
    WHERE %(days)s::date[] IS NULL AND channel_id = %(channel_id)s AND deleted_at IS NULL
      AND channel_message_id IS NOT NULL
    UNION ALL
    SELECT m.id, m.channel_message_id, m.contact_id, m."timestamp"
    FROM known
    CROSS JOIN LATERAL (
        SELECT * FROM public.messages WHERE id = known.message_id OFFSET 0
    ) AS m
    WHERE m.deleted_at IS NULL AND m.channel_message_id IS NOT NULL
), placed AS (
    SELECT
        m.id, named.stanza_id, (m."timestamp" AT TIME ZONE 'UTC')::date AS day,
        -- A full id names its conversation; a bare one leaves only the row's own contact.
        coalesce(i.contact_id::text, named.address, m.contact_id::text) AS correspondent
    FROM compared AS m
    CROSS JOIN LATERAL history_sync.waha_id(m.channel_message_id) AS named
    LEFT JOIN history_sync.identities AS i
        ON i.project_id = %(project_id)s AND i.address = named.address
)
SELECT
    count(*) OVER () AS found, min(min(day)) OVER () AS from_day, max(max(day)) OVER () AS to_day,
    min(day) AS day, min(id::text) AS first_message, count(*) AS rows
FROM placed
GROUP BY stanza_id, correspondent
HAVING count(*) > 1
ORDER BY first_message
LIMIT 20
