-- Independent of our keys: parsed from the CRM's own rows. The same stanza id with the same person
-- (whatever the address) or in the same group is the same message.
WITH parsed AS (
    SELECT m.id, m.contact_id, m.chat_id, regexp_match(
        m.channel_message_id,
        '^(?:true|false)_([^@]+@[a-z.]+)_(.+?)(?:_[^_@]+(?:_\d+)?(?::\d+)?@[a-z.]+)?$'
    ) AS part, m.channel_message_id
    FROM public.messages AS m
    WHERE m.channel_id = %(channel_id)s AND m.deleted_at IS NULL
), placed AS (
    SELECT
        p.id,
        coalesce(p.part[2], p.channel_message_id) AS stanza_id,
        -- A full id names its conversation; a bare one leaves only the row's own contact.
        coalesce(i.contact_id::text, p.part[1], p.contact_id::text) AS correspondent
    FROM parsed AS p
    LEFT JOIN history_sync.identities AS i
        ON i.project_id = %(project_id)s
       AND i.address = replace(p.part[1], '@s.whatsapp.net', '@c.us')
)
SELECT count(*) OVER () AS found, min(id::text) AS first_message, count(*) AS rows
FROM placed
GROUP BY stanza_id, correspondent
HAVING count(*) > 1
ORDER BY 2
LIMIT 20
