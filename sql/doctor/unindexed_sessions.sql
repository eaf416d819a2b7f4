-- Rows of agent_sessions, about, where no index finds those of a session.
SELECT greatest(c.reltuples, 0)::bigint
FROM pg_class AS c
WHERE c.oid = 'public.agent_sessions'::regclass
  AND c.reltuples >= %(many)s
  AND NOT EXISTS (
      SELECT FROM pg_index AS i
      INNER JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
      WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND a.attname = 'session_id'
  )
