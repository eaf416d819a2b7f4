-- Loses: the sums over runs that metrics show, and what people were told of failures.
DROP TABLE history_sync.alerts;
DROP INDEX history_sync.quarantine_reason;
DROP INDEX history_sync.runs_running;
ALTER TABLE history_sync.channel_state DROP COLUMN breaker_open_until;
DROP TABLE history_sync.channel_totals;
