-- What a person noted on the contact that goes, where the other has no such note. WhatsApp's own
-- addresses are written anew.
WITH moved AS (
    UPDATE public.contact_custom_fields AS f
    SET contact_id = m.taker, updated_at = now()
    FROM (SELECT DISTINCT giver, taker, merge_id FROM moves WHERE takes_all) AS m
    WHERE f.contact_id = m.giver AND f.deleted_at IS NULL AND f.field_key NOT LIKE 'waha\_%%'
      AND NOT EXISTS (
          SELECT FROM public.contact_custom_fields AS theirs
          WHERE theirs.contact_id = m.taker AND theirs.field_key = f.field_key
            AND theirs.deleted_at IS NULL
      )
    RETURNING m.merge_id, f.id
)
INSERT INTO history_sync.merged_rows (merge_id, relation, row_id)
SELECT merge_id, 'contact_custom_fields', id FROM moved
