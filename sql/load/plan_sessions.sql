-- The messages of the stretches touched, stored and staged, cut by the CRM's rule: a message opens a
-- session when the gap to the one before is strictly greater than the timeout. Looking at what is
-- stored around a window is what makes the order of days irrelevant.
-- A message inside a session of the CRM belongs to that; of two such sessions to the one that was
-- going on then, else the nearer one. Only the message says so; figures and times of the session are
-- the CRM's, so it does not grow by this. What stands in one stays there, and none of ours reaches
-- across it.
INSERT INTO planned_sessions (
    message_id, contact_id, at, from_me, is_settled, is_theirs, session_id
)
WITH timeline AS (
    SELECT
        s.message_id, s.contact_id, s.at, s.from_me, s.time_trusted AS trusted, s.edited_at,
        NULL::uuid AS stays_in
    FROM staged_messages AS s
    WHERE s.is_new AND s.gone_by IS NULL
    UNION ALL
    SELECT
        k.message_id, k.contact_id,
        -- As update_messages.sql will have them.
        CASE WHEN (NOT s.time_trusted, s.at) < (NOT k.time_trusted, m."timestamp")
            THEN s.at ELSE m."timestamp" END,
        m.from_me OR coalesce(s.from_me, false),
        k.time_trusted OR coalesce(s.time_trusted, false),
        greatest(k.edited_at, s.edited_at),
        -- What we wrote follows its contact out of another one's session; the CRM's own does not.
        CASE WHEN ours.session_id IS NULL
            AND (m.source <> 'history_import' OR held.contact_id = k.contact_id)
            THEN m.session_id END
    FROM touched_spans AS span
    -- Stretch by stretch on purpose (OFFSET 0): what stands in one is a sliver of the table, which no
    -- statistics tell.
    CROSS JOIN LATERAL (
        SELECT t.*
        FROM history_sync.message_keys AS t
        WHERE t.channel_id = %(channel_id)s AND t.contact_id = span.contact_id
          AND t.at BETWEEN span.from_at AND span.until_at
        OFFSET 0
    ) AS k
    CROSS JOIN LATERAL (
        SELECT * FROM public.messages WHERE id = k.message_id OFFSET 0
    ) AS m
    LEFT JOIN staged_messages AS s ON s.message_id = k.message_id
    LEFT JOIN history_sync.sessions AS ours ON ours.session_id = m.session_id
    LEFT JOIN public.sessions AS held ON held.id = m.session_id
    WHERE m.deleted_at IS NULL
      -- Inserted by this load, which then found that others had been stored meanwhile.
      AND s.is_new IS NOT TRUE
), inside AS (
    SELECT DISTINCT ON (t.message_id) t.message_id, theirs.session_id
    FROM timeline AS t
    INNER JOIN their_sessions AS theirs
        ON theirs.contact_id = t.contact_id AND t.at BETWEEN theirs.opens_at AND theirs.closes_at
    WHERE t.stays_in IS NULL
    ORDER BY
        t.message_id,
        greatest(theirs.started_at - t.at, t.at - theirs.last_activity_at, interval '0'),
        theirs.started_at, theirs.session_id
), placed AS (
    SELECT t.*, coalesce(t.stays_in, inside.session_id) AS their_session
    FROM timeline AS t
    LEFT JOIN inside USING (message_id)
), gaps AS (
    SELECT
        *,
        coalesce(
            at - lag(at) OVER ordered > %(timeout)s OR lag(their_session) OVER ordered IS NOT NULL,
            true
        ) AS opens
    FROM placed
    WINDOW ordered AS (PARTITION BY contact_id ORDER BY at, message_id)
), numbered AS (
    SELECT *, count(*) FILTER (WHERE opens) OVER (
        PARTITION BY contact_id ORDER BY at, message_id
    ) AS number
    FROM gaps
)
SELECT
    message_id, contact_id, at, from_me,
    -- An edit that was read without its original stands at the time of the edit.
    trusted AND NOT (edited_at > '-infinity' AND at >= edited_at),
    their_session IS NOT NULL,
    coalesce(
        their_session,
        history_sync.session_id(
            first_value(message_id) OVER (
                PARTITION BY contact_id, number ORDER BY at, message_id
            )
        )
    )
FROM numbered
