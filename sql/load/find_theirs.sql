-- Sessions that the CRM opened for the contacts touched. A message that falls inside one belongs to
-- it: not more than the session's own timeout before its start or after its last activity, and not
-- after somebody closed it. The CRM has no index to find them by, so all are read. Run with hash joins
-- alone (hash_joins.sql): taken for one row, they were compared with every contact and looked up one
-- by one, 2.1 s instead of 0.2 in a table of 118,000, and growing with contacts times sessions.
INSERT INTO their_sessions (session_id, contact_id, started_at, last_activity_at, opens_at, closes_at)
SELECT
    se.id, se.contact_id, se.started_at, se.last_activity_at,
    se.started_at - own.timeout,
    CASE WHEN se.status = 'manually_closed'
        OR se.end_reason IN ('manual_close', 'contact_request', 'agent_close', 'system_close')
        THEN least(se.ended_at, se.last_activity_at + own.timeout)
        ELSE se.last_activity_at + own.timeout END
FROM public.sessions AS se
CROSS JOIN LATERAL (
    -- The CRM stores a Go duration.
    SELECT CASE WHEN se.timeout_duration > 0
        THEN se.timeout_duration / 1000 * interval '1 microsecond'
        ELSE %(timeout)s::interval END AS timeout
) AS own
WHERE se.contact_id IN (SELECT contact_id FROM touched_contacts)
  AND se.deleted_at IS NULL
  AND (se.channel_type_id = %(channel_type_id)s OR se.channel_type_id IS NULL)
  AND NOT EXISTS (SELECT FROM history_sync.sessions AS ours WHERE ours.session_id = se.id)
