-- A temporary table has no statistics, and the planner would take it for ten pages.
ANALYZE staged_people, staged_identities, staged_rows, staged_messages
