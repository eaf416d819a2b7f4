-- Newest first: what people look for, and what WhatsApp still has. Files that failed wait behind.
SELECT
    media.message_id::text AS message_id, k.address, k.waha_id, m.content_type AS kind,
    media.attempts,
    -- A row that the CRM wrote itself may say anything here.
    CASE WHEN jsonb_typeof(m.metadata #> '{media,size}') = 'number'
        THEN least((m.metadata #>> '{media,size}')::numeric, 1e15)::bigint
    END AS declared_bytes
FROM history_sync.media AS media
INNER JOIN history_sync.message_keys AS k ON k.message_id = media.message_id
INNER JOIN public.messages AS m ON m.id = media.message_id AND m.deleted_at IS NULL
WHERE media.channel_id = %(channel_id)s AND media.state = 'wanted'
  AND m.content_type = ANY(%(kinds)s)
ORDER BY media.attempts, m."timestamp" DESC, media.message_id
LIMIT %(limit)s
