-- `version` counts what a session has absorbed: each message, and once more each message whose own
-- time is known. So it rises whenever the CRM's optimistic lock must notice, and is the same whatever
-- order the days came in: an edit that is read before its original counts once, then twice.
-- Each agent of a session took part in all of it; there is nothing else to know of that in history.
WITH answered AS (
    SELECT
        session_id, contact_id,
        min(at) AS started_at,
        max(at) AS ended_at,
        count(*) + count(*) FILTER (WHERE is_settled) AS version,
        count(*) AS messages,
        count(*) FILTER (WHERE NOT from_me) AS from_contact,
        count(*) FILTER (WHERE from_me) AS from_agent,
        min(first_contact_at) AS first_contact_at,
        min(at) FILTER (WHERE from_me AND at >= first_contact_at) AS first_response_at
    FROM (
        SELECT *, min(at) FILTER (WHERE NOT from_me) OVER (PARTITION BY session_id)
            AS first_contact_at
        FROM planned_sessions
        WHERE NOT is_theirs
    ) AS timed
    GROUP BY session_id, contact_id
), written AS (
    INSERT INTO public.sessions AS existing (
        id, version, contact_id, tenant_id, channel_type_id, pipeline_id, started_at, ended_at,
        status, end_reason, timeout_duration, last_activity_at, message_count,
        messages_from_contact, messages_from_agent, duration_seconds, first_contact_message_at,
        first_agent_response_at, agent_response_time_seconds, contact_wait_time_seconds,
        agent_ids, created_at, updated_at
    )
    SELECT
        session_id, version, contact_id, %(tenant_id)s, %(channel_type_id)s, %(pipeline_id)s,
        started_at, ended_at, 'ended', 'inactivity_timeout', %(timeout_ns)s, ended_at, messages,
        from_contact, from_agent, extract(epoch FROM ended_at - started_at)::bigint,
        first_contact_at, first_response_at,
        extract(epoch FROM first_response_at - first_contact_at)::bigint,
        extract(epoch FROM first_response_at - first_contact_at)::bigint,
        jsonb_build_array(%(agent_id)s::text), now(), now()
    FROM answered
    ON CONFLICT (id) DO UPDATE SET
        version = greatest(existing.version + 1, excluded.version),
        -- The session's first message may have gone to another contact.
        contact_id = excluded.contact_id,
        started_at = excluded.started_at,
        ended_at = excluded.ended_at,
        last_activity_at = excluded.last_activity_at,
        message_count = excluded.message_count,
        messages_from_contact = excluded.messages_from_contact,
        messages_from_agent = excluded.messages_from_agent,
        duration_seconds = excluded.duration_seconds,
        first_contact_message_at = excluded.first_contact_message_at,
        first_agent_response_at = excluded.first_agent_response_at,
        agent_response_time_seconds = excluded.agent_response_time_seconds,
        contact_wait_time_seconds = excluded.contact_wait_time_seconds,
        updated_at = now()
    WHERE (
        existing.contact_id, existing.started_at, existing.ended_at, existing.message_count,
        existing.messages_from_contact, existing.first_contact_message_at,
        existing.first_agent_response_at
    ) IS DISTINCT FROM (
        excluded.contact_id, excluded.started_at, excluded.ended_at, excluded.message_count,
        excluded.messages_from_contact, excluded.first_contact_message_at,
        excluded.first_agent_response_at
    )
    RETURNING id, contact_id, started_at, ended_at, agent_ids, (xmax = 0) AS is_new
), joined AS (
    INSERT INTO public.agent_sessions AS known (
        id, agent_id, session_id, role_in_session, joined_at, left_at, is_active, created_at,
        updated_at
    )
    SELECT
        history_sync.id_of('participation/' || w.id || '/' || a.id), a.id, w.id, 'primary',
        w.started_at, w.ended_at, false, now(), now()
    FROM written AS w
    INNER JOIN public.agents AS a ON w.agent_ids ? a.id::text
    ON CONFLICT (id) DO UPDATE SET
        joined_at = excluded.joined_at, left_at = excluded.left_at, updated_at = now()
    WHERE (known.joined_at, known.left_at)
        IS DISTINCT FROM (excluded.joined_at, excluded.left_at)
), remembered AS (
    INSERT INTO history_sync.sessions AS known (
        session_id, channel_id, contact_id, started_at, ended_at
    )
    SELECT id, %(channel_id)s, contact_id, started_at, ended_at FROM written
    ON CONFLICT (session_id) DO UPDATE SET
        contact_id = excluded.contact_id, started_at = excluded.started_at,
        ended_at = excluded.ended_at
    WHERE (known.contact_id, known.started_at, known.ended_at)
        <> (excluded.contact_id, excluded.started_at, excluded.ended_at)
)
SELECT count(*) FILTER (WHERE is_new) FROM written
