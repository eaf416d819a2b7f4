-- The webhook stores ids in two shapes, and the full one under whichever address WAHA used then. No
-- index of the CRM's helps to find them by stanza id, and none is added to its tables: what is read
-- here is what no key names, which an import leaves nearly empty.
INSERT INTO live_rows (message_id, contact_id, stanza_id, address)
SELECT
    m.id, m.contact_id, coalesce(named.part[2], m.channel_message_id),
    replace(named.part[1], '@s.whatsapp.net', '@c.us')
FROM public.messages AS m
CROSS JOIN LATERAL (
    SELECT regexp_match(
        m.channel_message_id,
        '^(?:true|false)_([^@]+@[a-z.]+)_(.+?)(?:_[^_@]+(?:_\d+)?(?::\d+)?@[a-z.]+)?$'
    ) AS part
) AS named
WHERE m.channel_id = %(channel_id)s AND m.deleted_at IS NULL AND m.source <> 'history_import'
  AND m.channel_message_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM history_sync.message_keys AS k WHERE k.message_id = m.id)
ON CONFLICT DO NOTHING
