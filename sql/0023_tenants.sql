-- Whose rows of this schema a transaction may see and write: those of one project, which is one tenant.
-- It says so itself, with `history_sync.project`, a setting of the transaction: the project's id, or
-- `*` for the work of whoever operates the installation. Without it there is no row to see, and none
-- may be written. The security is forced, so that the owner of the tables is bound, too; a superuser is
-- not. The CRM's own tables are the CRM's to secure.

CREATE FUNCTION history_sync.project() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT nullif(nullif(current_setting('history_sync.project', true), ''), '*')::uuid
$$;

CREATE FUNCTION history_sync.serves_all() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT current_setting('history_sync.project', true) = '*'
$$;

-- As a message's key has it: places are written before the keys they belong to, so that the key cannot
-- be asked whose they are.
ALTER TABLE history_sync.places ADD COLUMN channel_id uuid;
UPDATE history_sync.places AS p
SET channel_id = k.channel_id
FROM history_sync.message_keys AS k
WHERE k.message_id = p.message_id;
ALTER TABLE history_sync.places ALTER COLUMN channel_id SET NOT NULL;

-- On record stands what it always was: whose channel it is does not change.
CREATE OR REPLACE FUNCTION history_sync.places_of(message uuid) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT jsonb_build_object('places', coalesce(
        jsonb_agg(to_jsonb(p) - 'channel_id' ORDER BY p.day, p.waha_id), '[]'
    ))
    FROM history_sync.places AS p WHERE p.message_id = message
$$;

-- What is asked once for a statement stands in a SELECT of its own. The conditions of a statement stay
-- what they were beside it: comparisons of plain types leak nothing, so their indexes serve as before.
DO $$
DECLARE
    relation regclass;
    whose text;
    of_project CONSTANT text := 'project_id = (SELECT history_sync.project())';
    of_channel CONSTANT text := 'channel_id = ANY (ARRAY('
        'SELECT c.id FROM public.channels AS c WHERE c.project_id = history_sync.project()))';
BEGIN
    FOR relation, whose IN
        SELECT c.oid, CASE
            WHEN c.relname = 'plan_ranges'
                THEN 'EXISTS (SELECT FROM history_sync.imports AS i WHERE i.import_id = plan_ranges.import_id)'
            WHEN c.relname = 'merged_rows'
                THEN 'EXISTS (SELECT FROM history_sync.merges AS m WHERE m.merge_id = merged_rows.merge_id)'
            -- Of the installation or of a WAHA server, and of no tenant.
            WHEN c.relname IN (
                'alembic_version', 'api_calls', 'applied_sql', 'courtesy_pace', 'courtesy_slots',
                'installation'
            ) THEN NULL
            ELSE concat_ws(' AND ',
                CASE WHEN 'project_id' = ANY (has.columns) THEN of_project END,
                CASE WHEN 'channel_id' = ANY (has.columns) THEN of_channel END
            )
        END
        FROM pg_class AS c
        CROSS JOIN LATERAL (
            SELECT array_agg(a.attname::text) AS columns
            FROM pg_attribute AS a WHERE a.attrelid = c.oid AND NOT a.attisdropped
        ) AS has
        WHERE c.relnamespace = 'history_sync'::regnamespace AND c.relkind = 'r'
    LOOP
        IF whose IS NULL THEN
            EXECUTE format('CREATE POLICY shared ON %s USING (true)', relation);
        ELSE
            EXECUTE format(
                'CREATE POLICY tenant ON %s USING ((SELECT history_sync.serves_all()) OR (%s))',
                relation, whose
            );
        END IF;
        EXECUTE format(
            'ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', relation
        );
    END LOOP;
END $$;

-- A foreign key is checked past all policies, so what refers to a row has to be of its tenant by the
-- key itself.
ALTER TABLE history_sync.people
    ADD CONSTRAINT people_project UNIQUE (contact_id, project_id),
    DROP CONSTRAINT people_absorbed_by_fkey,
    ADD CONSTRAINT people_absorbed_by_fkey FOREIGN KEY (absorbed_by, project_id)
        REFERENCES history_sync.people (contact_id, project_id) ON DELETE SET NULL (absorbed_by);
ALTER TABLE history_sync.identities
    DROP CONSTRAINT identities_contact_id_fkey,
    ADD CONSTRAINT identities_contact_id_fkey FOREIGN KEY (contact_id, project_id)
        REFERENCES history_sync.people (contact_id, project_id) ON DELETE CASCADE;
ALTER TABLE history_sync.merges
    DROP CONSTRAINT merges_kept_fkey,
    ADD CONSTRAINT merges_kept_fkey FOREIGN KEY (kept, project_id)
        REFERENCES history_sync.people (contact_id, project_id) ON DELETE CASCADE,
    DROP CONSTRAINT merges_absorbed_fkey,
    ADD CONSTRAINT merges_absorbed_fkey FOREIGN KEY (absorbed, project_id)
        REFERENCES history_sync.people (contact_id, project_id) ON DELETE CASCADE;
ALTER TABLE history_sync.imports ADD CONSTRAINT imports_channel UNIQUE (import_id, channel_id);
ALTER TABLE history_sync.runs
    DROP CONSTRAINT runs_import_id_fkey,
    ADD CONSTRAINT runs_import_id_fkey FOREIGN KEY (import_id, channel_id)
        REFERENCES history_sync.imports (import_id, channel_id) ON DELETE SET NULL (import_id);
