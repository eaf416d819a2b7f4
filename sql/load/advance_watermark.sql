INSERT INTO history_sync.channel_state AS state (channel_id, watermark)
SELECT %(channel_id)s, max(at) FROM staged_messages WHERE time_trusted
ON CONFLICT (channel_id) DO UPDATE SET watermark = excluded.watermark
WHERE state.watermark IS NULL OR excluded.watermark > state.watermark
