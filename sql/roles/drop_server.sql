-- Takes back what create_server.sql gave in this database: grants and policies. Run it in every
-- database where it was given; then an administrator may drop the role itself:
--   psql "$OWNER_URL" -v ON_ERROR_STOP=1 -1 -f sql/roles/drop_server.sql

DO $$
DECLARE relation oid;
BEGIN
    FOR relation IN
        SELECT polrelid FROM pg_policy WHERE polname = 'ventros_server_all'
    LOOP
        EXECUTE format('DROP POLICY ventros_server_all ON %s', relation::regclass);
    END LOOP;
END $$;
REVOKE ALL ON ALL TABLES IN SCHEMA public, history_sync FROM ventros_server;
REVOKE ALL ON SCHEMA public, history_sync FROM ventros_server;
