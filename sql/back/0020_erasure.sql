-- Loses: the record of who asked for erasures. Refused where anybody was erased.
DO $$ BEGIN
    IF EXISTS (SELECT FROM history_sync.erased) THEN
        RAISE EXCEPTION 'people were erased from this CRM, and without their tombstones the next '
            'import would bring them back: there is no way back over 0020_erasure.sql';
    END IF;
END $$;
DROP TABLE history_sync.erasures;
DROP TABLE history_sync.erased;
DROP TABLE history_sync.installation;
