-- All messages of the contacts touched, stored and staged, cut by the CRM's rule: a message opens a
-- session when the gap to the one before is strictly greater than the timeout. Recomputing the
-- whole contact is what makes the order of days irrelevant. Messages inside a session that the CRM
-- opened stay there.
INSERT INTO planned_sessions (message_id, contact_id, at, from_me, session_id)
WITH timeline AS (
    SELECT s.message_id, s.contact_id, s.at, s.from_me
    FROM staged_messages AS s
    WHERE s.is_new AND s.gone_by IS NULL
    UNION ALL
    SELECT
        k.message_id, k.contact_id,
        -- As update_messages.sql will have them.
        CASE WHEN (NOT s.time_trusted, s.at) < (NOT k.time_trusted, m."timestamp")
            THEN s.at ELSE m."timestamp" END,
        m.from_me OR coalesce(s.from_me, false)
    FROM history_sync.message_keys AS k
    INNER JOIN touched_contacts USING (contact_id)
    INNER JOIN public.messages AS m ON m.id = k.message_id
    LEFT JOIN staged_messages AS s ON s.message_id = k.message_id
    LEFT JOIN history_sync.sessions AS ours ON ours.session_id = m.session_id
    WHERE k.channel_id = %(channel_id)s
      AND m.deleted_at IS NULL
      AND (m.session_id IS NULL OR ours.session_id IS NOT NULL)
), gaps AS (
    SELECT
        *,
        coalesce(
            at - lag(at) OVER (PARTITION BY contact_id ORDER BY at, message_id) > %(timeout)s,
            true
        ) AS opens
    FROM timeline
), numbered AS (
    SELECT *, count(*) FILTER (WHERE opens) OVER (
        PARTITION BY contact_id ORDER BY at, message_id
    ) AS number
    FROM gaps
)
SELECT
    message_id, contact_id, at, from_me,
    history_sync.session_id(
        first_value(message_id) OVER (
            PARTITION BY contact_id, number ORDER BY at, message_id
        )
    ) AS session_id
FROM numbered
