-- Rows as the CRM's own code would have written them.

-- Who stands in a group by WAHA's group list, as [{"address", "is_admin"}]; null when it does not say.
ALTER TABLE history_sync.directory ADD COLUMN members jsonb;

-- Sessions that were imported before their agents were recorded; as in load/upsert_sessions.sql.
INSERT INTO public.agent_sessions (
    id, agent_id, session_id, role_in_session, joined_at, left_at, is_active, created_at, updated_at
)
SELECT
    history_sync.id_of('participation/' || s.id || '/' || a.id), a.id, s.id, 'primary',
    s.started_at, s.ended_at, false, now(), now()
FROM history_sync.sessions AS ours
INNER JOIN public.sessions AS s ON s.id = ours.session_id
INNER JOIN public.agents AS a ON s.agent_ids ? a.id::text;
