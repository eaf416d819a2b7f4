-- The newest trusted time of a stored message; it falls only with a message that has moved since.
WITH seen AS (
    SELECT max(last_at) AS at FROM moments
)
INSERT INTO history_sync.channel_state AS state (channel_id, watermark)
SELECT %(channel_id)s, at FROM seen
ON CONFLICT (channel_id) DO UPDATE SET watermark = CASE
    WHEN EXISTS (SELECT FROM moved_messages AS moved WHERE moved.was_at = state.watermark) THEN (
        SELECT max(m."timestamp")
        FROM history_sync.message_keys AS k
        INNER JOIN public.messages AS m ON m.id = k.message_id
        WHERE k.channel_id = %(channel_id)s AND k.time_trusted AND k.duplicate_of IS NULL
          AND NOT history_sync.is_mark(k, m)
    )
    ELSE greatest(state.watermark, excluded.watermark) END
WHERE state.watermark IS NULL OR excluded.watermark > state.watermark
    OR EXISTS (SELECT FROM moved_messages AS moved WHERE moved.was_at = state.watermark)
