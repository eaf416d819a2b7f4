-- Tables of the CRM whose rows hang on a contact; a real CRM has more of them than the baseline.
-- Those that need more than a new owner have statements of their own.
SELECT c.relname
FROM pg_class AS c
INNER JOIN pg_attribute AS owner
    ON owner.attrelid = c.oid AND owner.attname = 'contact_id' AND owner.atttypid = 'uuid'::regtype
INNER JOIN pg_attribute AS id
    ON id.attrelid = c.oid AND id.attname = 'id' AND id.atttypid = 'uuid'::regtype
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
  AND NOT c.relispartition AND NOT owner.attisdropped AND NOT id.attisdropped
  AND c.relname NOT IN (
      'messages', 'contact_custom_fields', 'contact_pipeline_statuses', 'sessions'
  )
  -- One at a time: of a list of privileges Postgres asks whether there is any.
  AND has_column_privilege(c.oid, owner.attnum, 'UPDATE')
  AND has_column_privilege(c.oid, owner.attnum, 'SELECT')
  AND has_column_privilege(c.oid, id.attnum, 'SELECT')
ORDER BY c.relname
