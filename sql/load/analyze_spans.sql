-- As analyze_staging.sql.
ANALYZE touched_spans, their_sessions
