SELECT c.relname, a.attname, format_type(a.atttypid, NULL)
FROM pg_class AS c
INNER JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = to_regnamespace('public') AND c.relkind IN ('r', 'p')
