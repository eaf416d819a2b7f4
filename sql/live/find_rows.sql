-- Rows that the CRM wrote or changed since, and that no key names. The webhook stores ids in two
-- shapes, and the full one under whichever address WAHA used then.
INSERT INTO history_sync.unknown_rows AS known (
    message_id, channel_id, stanza_id, address, has_twin
)
SELECT
    m.id, m.channel_id, named.stanza_id, named.address,
    EXISTS (
        SELECT FROM history_sync.message_keys AS k
        WHERE k.channel_id = %(channel_id)s AND k.stanza_id = named.stanza_id
        OFFSET 0
    )
FROM public.messages AS m
CROSS JOIN LATERAL history_sync.waha_id(m.channel_message_id) AS named
WHERE (
      m.updated_at >= %(since)s::timestamptz OR m.created_at >= %(since)s::timestamptz
      OR m.created_at IS NULL
  )
  AND m.channel_id = %(channel_id)s AND m.deleted_at IS NULL
  -- Not "<>", which no index answers: all that a channel has was read for each window.
  AND (m.source < 'history_import' OR m.source > 'history_import')
  AND m.channel_message_id IS NOT NULL
  AND NOT EXISTS (
      SELECT FROM history_sync.message_keys AS k WHERE k.message_id = m.id OFFSET 0
  )
ON CONFLICT (message_id) DO UPDATE SET
    channel_id = excluded.channel_id, stanza_id = excluded.stanza_id, address = excluded.address,
    has_twin = excluded.has_twin
WHERE (known.channel_id, known.stanza_id, known.address)
    IS DISTINCT FROM (excluded.channel_id, excluded.stanza_id, excluded.address)
