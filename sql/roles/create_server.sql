-- The role of `ventros serve`, for a CRM whose tables belong to somebody else. It answers strangers,
-- so it may do less than an import: it knows API keys by their hashes, and sees no message, no
-- contact, no password and no other secret than what stands in channels.config.
-- Run it after `ventros db migrate`, and again after every later one, as the owner of the CRM's tables:
--   psql "$OWNER_URL" -v ON_ERROR_STOP=1 -1 -f sql/roles/create_server.sql
-- then give the role a password (`\password ventros_server`) and put it into the VENTROS_DATABASE_URL
-- of the process that serves, and of no other.
-- sql/roles/drop_server.sql takes everything back.

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ventros_server') THEN
        CREATE ROLE ventros_server LOGIN;
    END IF;
END $$;

GRANT USAGE ON SCHEMA public, history_sync TO ventros_server;

-- Whose key it is, and what the user is to a project.
GRANT SELECT (id, user_id, key_hash, active, last_used, expires_at, deleted_at), UPDATE (last_used)
    ON public.user_api_keys TO ventros_server;
GRANT SELECT (id, status, role, deleted_at) ON public.users TO ventros_server;
GRANT SELECT (project_id, agent_id, role, deleted_at) ON public.project_members TO ventros_server;
GRANT SELECT (id, user_id, active, deleted_at) ON public.agents TO ventros_server;
GRANT SELECT (id, user_id, session_timeout_minutes, deleted_at) ON public.projects TO ventros_server;
GRANT SELECT (id, session_timeout_minutes, deleted_at) ON public.pipelines TO ventros_server;

-- The channel, of which the start and the end of an import change these columns.
GRANT SELECT ON public.channels TO ventros_server;
GRANT UPDATE (history_import_status, history_import_stats, last_import_date, updated_at)
    ON public.channels TO ventros_server;
GRANT INSERT ON public.outbox_events TO ventros_server;

-- The plan, the hints, the counted calls; of the rest of the pipeline's memory only the figures.
GRANT SELECT ON
    history_sync.applied_sql, history_sync.alembic_version, history_sync.balance,
    history_sync.coverage, history_sync.channel_state, history_sync.channel_totals,
    history_sync.sync_state TO ventros_server;
-- How many rows could not be imported and why; never what is in them.
GRANT SELECT (channel_id, reason, resolved_at) ON history_sync.quarantine TO ventros_server;
GRANT SELECT, INSERT, UPDATE ON history_sync.imports TO ventros_server;
GRANT SELECT, UPDATE ON history_sync.runs TO ventros_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON
    history_sync.plan_ranges, history_sync.api_calls TO ventros_server;
GRANT SELECT, INSERT ON history_sync.hints TO ventros_server;

-- Row-level security: the CRM's policies know one user at a time; this role asks for all of them and
-- judges by itself.
DO $$
DECLARE relation oid;
BEGIN
    FOR relation IN
        SELECT c.oid FROM pg_class AS c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relrowsecurity
          AND has_any_column_privilege('ventros_server', c.oid, 'SELECT')
          AND NOT EXISTS (
              SELECT FROM pg_policy AS p
              WHERE p.polrelid = c.oid AND p.polname = 'ventros_server_all'
          )
    LOOP
        EXECUTE format(
            'CREATE POLICY ventros_server_all ON %s TO ventros_server'
            ' USING (true) WITH CHECK (true)', relation::regclass
        );
    END LOOP;
END $$;
