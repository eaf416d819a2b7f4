-- Sessions that the CRM opened for the contacts touched. A message that falls inside one belongs to
-- it: not more than the session's own timeout before its start or after its last activity, and not
-- after somebody closed it. The CRM has no index to find them by, so all are read; docs/how-to/real-crm.md
-- offers one.
-- Contacts first (OFFSET 0), then ours; and the plain conditions stand in a CASE, of which the planner
-- thinks nothing: from them alone it took all sessions for one, compared each with every contact and
-- looked each up among ours, 2.1 s instead of 0.2 beside 118,000 sessions of 144 contacts, and growing
-- with both. They are asked last, of the few that are left: `deleted_at` is the last column of a wide
-- row, and to get at it took half a second of 4.8 million rows.
-- Most are ours by what is seen at once: an id as only we make them, and the moment of a transaction of
-- ours. To look each of 970,000 up among ours took a second for each window, and this 0.3 s. The
-- version is read from the id's bytes: as text it took another half a second of 4.8 million.
INSERT INTO their_sessions (session_id, contact_id, started_at, last_activity_at, opens_at, closes_at)
SELECT
    se.id, se.contact_id, se.started_at, se.last_activity_at,
    se.started_at - own.timeout,
    CASE WHEN se.status = 'manually_closed'
        OR se.end_reason IN ('manual_close', 'contact_request', 'agent_close', 'system_close')
        THEN least(se.ended_at, se.last_activity_at + own.timeout)
        ELSE se.last_activity_at + own.timeout END
FROM (
    SELECT * FROM public.sessions AS s
    WHERE contact_id IN (SELECT contact_id FROM touched_contacts)
      AND NOT EXISTS (
          SELECT FROM history_sync.writes AS w
          WHERE w.written_at = s.created_at AND get_byte(uuid_send(s.id), 6) / 16 = 8
      )
    OFFSET 0
) AS se
CROSS JOIN LATERAL (
    -- The CRM stores a Go duration.
    SELECT CASE WHEN se.timeout_duration > 0
        THEN se.timeout_duration / 1000 * interval '1 microsecond'
        ELSE %(timeout)s::interval END AS timeout
) AS own
WHERE CASE WHEN se.deleted_at IS NULL
        THEN coalesce(se.channel_type_id, %(channel_type_id)s) = %(channel_type_id)s
        ELSE false END
  AND NOT EXISTS (SELECT FROM history_sync.sessions AS ours WHERE ours.session_id = se.id)
