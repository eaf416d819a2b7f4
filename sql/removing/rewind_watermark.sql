-- The newest trusted time of what is left.
UPDATE history_sync.channel_state AS state
SET watermark = (
    SELECT max(m."timestamp")
    FROM history_sync.message_keys AS k
    INNER JOIN public.messages AS m ON m.id = k.message_id
    WHERE k.channel_id = state.channel_id AND k.time_trusted AND k.duplicate_of IS NULL
      AND NOT history_sync.is_mark(k, m)
)
WHERE state.channel_id = ANY(%(channel_ids)s::uuid[])
