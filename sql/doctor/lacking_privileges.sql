-- Rights of this role that an import needs. A right on some columns is enough to read, because what
-- an import reads is granted column by column where the rest is nobody's business. Row-level security
-- without a policy for the role shows no row at all.
SELECT c.relname, wanted.privilege
FROM unnest(%(tables)s::text[], %(privileges)s::text[]) AS wanted (name, privilege)
INNER JOIN pg_class AS c
    ON c.relname = wanted.name AND c.relnamespace = to_regnamespace('public')
WHERE CASE WHEN wanted.privilege = 'DELETE' THEN NOT has_table_privilege(c.oid, 'DELETE')
    ELSE NOT has_any_column_privilege(c.oid, wanted.privilege) END
UNION ALL
SELECT 'history_sync.' || c.relname, privilege
FROM pg_class AS c
CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
WHERE c.relnamespace = to_regnamespace('history_sync') AND c.relkind = 'r'
  AND (privilege = 'SELECT' OR c.relname NOT IN (
      'applied_sql', 'alembic_version', 'installation', 'erased', 'erasures'
  ))
  AND NOT has_table_privilege(c.oid, privilege)
UNION ALL
SELECT c.relname, 'a policy for this role'
FROM pg_class AS c
WHERE c.relnamespace = to_regnamespace('public') AND c.relname = ANY(%(tables)s::text[])
  AND row_security_active(c.oid)
  AND NOT EXISTS (
      SELECT FROM pg_policy AS p
      WHERE p.polrelid = c.oid AND EXISTS (
          SELECT FROM unnest(p.polroles) AS role
          WHERE role = 0 OR pg_has_role(role, 'USAGE')
      )
  )
ORDER BY 1, 2
