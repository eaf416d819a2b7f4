"""Reads a database's catalog as plain sets of lines, so that two of them can be compared."""

from __future__ import annotations

from sqlalchemy import Engine, text

_PARTS = {
    "columns": """
        SELECT format('%s.%s %s: %s%s%s', relname, attname, attnum,
                      format_type(atttypid, atttypmod),
                      CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END,
                      coalesce(' DEFAULT ' || pg_get_expr(adbin, adrelid), ''))
        FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid AND relkind IN ('r', 'p')
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE relnamespace = to_regnamespace(:schema) AND attnum > 0 AND NOT attisdropped""",
    # 'n' is left out: since version 18 each NOT NULL is a constraint too.
    "constraints": """
        SELECT format('%s %s: %s', conrelid::regclass, conname,
                      pg_get_constraintdef(pg_constraint.oid))
        FROM pg_constraint
        WHERE connamespace = to_regnamespace(:schema) AND contype IN ('p', 'u', 'f', 'c')""",
    "indexes": "SELECT indexdef FROM pg_indexes WHERE schemaname = :schema",
    "triggers": """
        SELECT pg_get_triggerdef(pg_trigger.oid) FROM pg_trigger
        JOIN pg_class ON pg_class.oid = tgrelid
        WHERE relnamespace = to_regnamespace(:schema) AND NOT tgisinternal""",
    "functions": """
        SELECT pg_get_functiondef(pg_proc.oid) FROM pg_proc
        WHERE pronamespace = to_regnamespace(:schema) AND prokind = 'f'""",
}


def catalog(engine: Engine, schema: str = "public") -> dict[str, set[str]]:
    """Return what a schema holds, by part."""
    with engine.connect() as connection:
        return {
            part: set(connection.scalars(text(query), {"schema": schema}))
            for part, query in _PARTS.items()
        }
