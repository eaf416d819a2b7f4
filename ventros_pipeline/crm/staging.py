"""The temporary tables that loads and merges work in.

Made once for each connection, and emptied by every commit: made anew for each window they were most
of what a load without news wrote, 200 kB of catalogue. Behind a pooler a connection may outlive the
release that made its tables, so they bear a mark of their text.
"""

from __future__ import annotations

import hashlib
from typing import Any

from psycopg import Cursor, sql

from ventros_pipeline.crm.sql import read_sql

_SCRIPTS = ("load/create_staging.sql", "identity/create_moves.sql", "live/create_live.sql")


def make_staging(cursor: Cursor[Any]) -> None:
    """Make the tables where this connection does not have them; they are empty."""
    scripts = [read_sql(script) for script in _SCRIPTS]
    mark = f"staging_{hashlib.sha256(''.join(scripts).encode()).hexdigest()[:16]}"
    cursor.execute("SELECT to_regclass(%s) IS NULL", (f"pg_temp.{mark}",))
    [(is_missing,)] = cursor.fetchall()
    if not is_missing:
        return
    cursor.execute("DISCARD TEMP")
    for script in scripts:
        # Without parameters: psycopg sends several statements at once only then.
        cursor.execute(script)
    cursor.execute(sql.SQL("CREATE TEMP TABLE {} ()").format(sql.Identifier(mark)))
