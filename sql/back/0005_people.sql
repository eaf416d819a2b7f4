-- Loses: why contacts were merged, and the way to take them apart. Refused where any were kept apart.
DO $$ BEGIN
    IF EXISTS (SELECT FROM history_sync.separations) THEN
        RAISE EXCEPTION 'a person keeps contacts apart that the release before would join again: '
            'there is no way back over 0005_people.sql';
    END IF;
END $$;
DROP INDEX history_sync.message_keys_stanza;
DROP INDEX history_sync.message_keys_duplicates;
ALTER TABLE history_sync.message_keys DROP COLUMN duplicate_of;
DROP TABLE history_sync.merged_rows;
DROP TABLE history_sync.merges;
ALTER TABLE history_sync.people
    DROP COLUMN is_ours, DROP COLUMN anchor, DROP COLUMN absorbed_by;
DROP TABLE history_sync.separations;
ALTER TABLE history_sync.evidence DROP COLUMN seen_at;
ALTER TABLE history_sync.evidence RENAME COLUMN one TO lid;
ALTER TABLE history_sync.evidence RENAME COLUMN other TO phone;
