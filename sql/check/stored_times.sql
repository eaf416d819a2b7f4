SELECT
    k.day, k.message_id::text, k.waha_id, extract(epoch FROM m."timestamp")::bigint AS stored,
    k.edited_at > '-infinity' AS edited
FROM history_sync.message_keys AS k
INNER JOIN public.messages AS m ON m.id = k.message_id AND m.deleted_at IS NULL
WHERE k.channel_id = %(channel_id)s AND k.day = ANY(%(days)s::date[]) AND k.time_trusted
