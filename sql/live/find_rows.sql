-- The webhook stores ids in two shapes, and the full one under whichever address WAHA used then. No
-- index of the CRM's helps to find them by stanza id, and none is added to its tables: what is read
-- here is what no key names, which an import leaves nearly empty.
INSERT INTO live_rows (message_id, contact_id, stanza_id, address)
SELECT m.id, m.contact_id, named.stanza_id, named.address
FROM public.messages AS m
CROSS JOIN LATERAL history_sync.waha_id(m.channel_message_id) AS named
WHERE m.channel_id = %(channel_id)s AND m.deleted_at IS NULL AND m.source <> 'history_import'
  AND m.channel_message_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM history_sync.message_keys AS k WHERE k.message_id = m.id)
ON CONFLICT DO NOTHING
