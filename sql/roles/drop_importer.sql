-- Takes back what create_importer.sql gave in this database: grants and policies. Run it in every
-- database where it was given; then an administrator may drop the role itself:
--   psql "$OWNER_URL" -v ON_ERROR_STOP=1 -1 -f sql/roles/drop_importer.sql

DO $$
DECLARE relation oid;
BEGIN
    FOR relation IN
        SELECT polrelid FROM pg_policy WHERE polname = 'ventros_importer_all'
    LOOP
        EXECUTE format('DROP POLICY ventros_importer_all ON %s', relation::regclass);
    END LOOP;
END $$;
REVOKE ALL ON ALL TABLES IN SCHEMA public, history_sync FROM ventros_importer;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA history_sync FROM ventros_importer;
REVOKE ALL ON SCHEMA public, history_sync FROM ventros_importer;
