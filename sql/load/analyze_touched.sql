-- As analyze_staging.sql.
ANALYZE touched_contacts
