-- Never deleted for good: a person may take the two addresses apart again. A row that the CRM wrote
-- is left alone even as a copy; the checks report it, and a person decides.
WITH retired AS (
    UPDATE public.messages AS m
    SET deleted_at = coalesce(m.deleted_at, now()), session_id = NULL, updated_at = now()
    FROM doubled AS d
    WHERE m.id = d.message_id AND m.source = 'history_import'
), followed AS (
    -- A copy of a copy.
    UPDATE history_sync.message_keys AS k
    SET duplicate_of = d.kept_id
    FROM doubled AS d
    WHERE k.duplicate_of = d.message_id
)
UPDATE history_sync.message_keys AS k
SET duplicate_of = d.kept_id
FROM doubled AS d
WHERE k.message_id = d.message_id
