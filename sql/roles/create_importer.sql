-- The role that imports, for a CRM whose tables belong to somebody else. It may do what an import
-- does and nothing more: no DDL, no TRUNCATE, no password or API key, no look at what it does not use.
-- Run it after `ventros db migrate`, and again after every later one, as the owner of the CRM's tables:
--   psql "$OWNER_URL" -v ON_ERROR_STOP=1 -1 -f sql/roles/create_importer.sql
-- then give the role a password (`\password ventros_importer`) and put it into VENTROS_DATABASE_URL.
-- An owner without CREATEROLE lets an administrator make the empty role first.
-- sql/roles/drop_importer.sql takes everything back.

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ventros_importer') THEN
        CREATE ROLE ventros_importer LOGIN;
    END IF;
    IF NOT has_database_privilege('ventros_importer', current_database(), 'TEMPORARY') THEN
        EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO ventros_importer', current_database());
    END IF;
END $$;

GRANT USAGE ON SCHEMA public, history_sync TO ventros_importer;

-- The pipeline's own memory, but not the record of its migrations.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA history_sync TO ventros_importer;
REVOKE INSERT, UPDATE, DELETE ON history_sync.applied_sql, history_sync.alembic_version
    FROM ventros_importer;
-- It asks who was erased, and may neither erase anybody nor take that back: `ventros forget`, and
-- `ventros undo`, which delete messages and contacts, are for the owner of the CRM's tables.
REVOKE INSERT, UPDATE, DELETE
    ON history_sync.installation, history_sync.erased, history_sync.erasures FROM ventros_importer;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA history_sync TO ventros_importer;

-- What an import reads of who owns a channel; users, keys and bills are none of its business.
GRANT SELECT (id, user_id, tenant_id, name, active, session_timeout_minutes, created_at, deleted_at)
    ON public.projects TO ventros_importer;
GRANT SELECT ON public.pipelines, public.pipeline_statuses TO ventros_importer;
GRANT SELECT, INSERT ON public.agents TO ventros_importer;
-- The WAHA key may stand in channels.config; who stores it in a variable instead keeps it from here.
GRANT SELECT, INSERT, UPDATE ON public.channels TO ventros_importer;

-- What an import writes. Messages and contacts are never deleted, only marked.
GRANT SELECT, INSERT, UPDATE ON
    public.contacts, public.contact_custom_fields, public.contact_pipeline_statuses, public.chats,
    public.messages, public.trackings, public.message_enrichments TO ventros_importer;
-- Sessions of its own that a new cut left empty, and media groups of messages that were revoked.
GRANT SELECT, INSERT, UPDATE, DELETE ON
    public.sessions, public.agent_sessions, public.message_groups TO ventros_importer;
-- The channel's own history_import events, written as processed.
GRANT SELECT, INSERT ON public.outbox_events TO ventros_importer;

-- A merge moves what hangs on a contact, in whatever table the CRM has for it: whose it is, and no
-- other column.
DO $$
DECLARE relation oid;
BEGIN
    FOR relation IN
        SELECT c.oid FROM pg_class AS c
        INNER JOIN pg_attribute AS owner
            ON owner.attrelid = c.oid AND owner.attname = 'contact_id'
           AND owner.atttypid = 'uuid'::regtype AND NOT owner.attisdropped
        INNER JOIN pg_attribute AS id
            ON id.attrelid = c.oid AND id.attname = 'id' AND NOT id.attisdropped
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    LOOP
        EXECUTE format(
            'GRANT SELECT (id, contact_id), UPDATE (contact_id) ON %s TO ventros_importer',
            relation::regclass
        );
    END LOOP;
END $$;

-- Row-level security lets a role that is not the owner see nothing without a policy for it. The CRM's
-- policies know one user at a time (app.current_user_id, the project's owner); an import serves every
-- channel, so it gets a policy of its own on the tables that it was granted. BYPASSRLS would need a
-- superuser and would hold for every table of every database.
DO $$
DECLARE relation oid;
BEGIN
    FOR relation IN
        SELECT c.oid FROM pg_class AS c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relrowsecurity
          AND has_any_column_privilege('ventros_importer', c.oid, 'SELECT')
          AND NOT EXISTS (
              SELECT FROM pg_policy AS p
              WHERE p.polrelid = c.oid AND p.polname = 'ventros_importer_all'
          )
    LOOP
        EXECUTE format(
            'CREATE POLICY ventros_importer_all ON %s TO ventros_importer'
            ' USING (true) WITH CHECK (true)', relation::regclass
        );
    END LOOP;
END $$;
