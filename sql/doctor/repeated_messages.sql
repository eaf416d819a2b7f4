-- As check/repeated_stanzas.sql parses them, with the rows of each message: the one that the
-- pipeline's memory names comes first, then the CRM's own, then the oldest.
WITH parsed AS (
    SELECT m.id, m.contact_id, m.channel_message_id, m.source, m.created_at, regexp_match(
        m.channel_message_id,
        '^(?:true|false)_([^@]+@[a-z.]+)_(.+?)(?:_[^_@]+(?:_\d+)?(?::\d+)?@[a-z.]+)?$'
    ) AS part
    FROM public.messages AS m
    WHERE m.channel_id = %(channel_id)s AND m.deleted_at IS NULL
), placed AS (
    SELECT
        p.id, p.source, p.created_at,
        coalesce(p.part[2], p.channel_message_id) AS stanza_id,
        coalesce(i.contact_id::text, p.part[1], p.contact_id::text) AS correspondent,
        EXISTS (
            SELECT FROM history_sync.message_keys AS k
            WHERE k.message_id = p.id AND k.duplicate_of IS NULL
        ) AS has_key
    FROM parsed AS p
    LEFT JOIN history_sync.identities AS i
        ON i.project_id = %(project_id)s
       AND i.address = replace(p.part[1], '@s.whatsapp.net', '@c.us')
)
SELECT array_agg(id::text ORDER BY NOT has_key, source = 'history_import', created_at, id)
FROM placed
GROUP BY stanza_id, correspondent
HAVING count(*) > 1
ORDER BY min(id::text)
