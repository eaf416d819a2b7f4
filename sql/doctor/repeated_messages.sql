-- As check/repeated_stanzas.sql finds them, with the rows of each message: the one that the
-- pipeline's memory names comes first, then the CRM's own, then the oldest.
WITH placed AS (
    SELECT
        m.id, m.source, m.created_at, named.stanza_id,
        coalesce(i.contact_id::text, named.address, m.contact_id::text) AS correspondent,
        EXISTS (
            SELECT FROM history_sync.message_keys AS k
            WHERE k.message_id = m.id AND k.duplicate_of IS NULL
        ) AS has_key
    FROM public.messages AS m
    CROSS JOIN LATERAL history_sync.waha_id(m.channel_message_id) AS named
    LEFT JOIN history_sync.identities AS i
        ON i.project_id = %(project_id)s AND i.address = named.address
    WHERE m.channel_id = %(channel_id)s AND m.deleted_at IS NULL
      AND m.channel_message_id IS NOT NULL
)
SELECT array_agg(id::text ORDER BY NOT has_key, source = 'history_import', created_at, id)
FROM placed
GROUP BY stanza_id, correspondent
HAVING count(*) > 1
ORDER BY min(id::text)
