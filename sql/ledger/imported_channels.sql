SELECT DISTINCT channel_id FROM history_sync.balance
