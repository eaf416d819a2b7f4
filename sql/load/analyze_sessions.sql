-- As analyze_staging.sql: else every session of the channel is compared with a cut of one contact.
ANALYZE planned_sessions
