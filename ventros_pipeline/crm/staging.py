"""The temporary tables that loads and merges work in.

Made once for each connection, and emptied by every commit: made anew for each window they were
most of what a load without news wrote, 200 kB of catalogue. For the same reason a load begins with
the few that it needs to see that there is no news. Behind a pooler a connection may outlive the
release that made its tables, so they bear a mark of their text.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

from psycopg import Cursor, sql

from ventros_pipeline.crm.sql import read_sql

_PEOPLE = ("load/create_people.sql", "changes/create_held.sql")
_MESSAGES = ("load/create_staging.sql", "identity/create_moves.sql", "live/create_live.sql")


def stage_people(cursor: Cursor[Any]) -> None:
    """Make the tables of people where this connection does not have them; they are empty."""
    if not _has(cursor, f"{_release()}_people"):
        # Whatever another release has left; nothing else of ours lives as long.
        cursor.execute("DISCARD TEMP")
        _make(cursor, _PEOPLE, f"{_release()}_people")


def stage_messages(cursor: Cursor[Any]) -> None:
    """Make all others, too."""
    stage_people(cursor)
    if not _has(cursor, f"{_release()}_messages"):
        _make(cursor, _MESSAGES, f"{_release()}_messages")


@cache
def _release() -> str:
    text = "".join(read_sql(script) for script in (*_PEOPLE, *_MESSAGES))
    return f"staging_{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _has(cursor: Cursor[Any], mark: str) -> bool:
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (f"pg_temp.{mark}",))
    [(found,)] = cursor.fetchall()
    return bool(found)


def _make(cursor: Cursor[Any], scripts: tuple[str, ...], mark: str) -> None:
    for script in scripts:
        # Without parameters: psycopg sends several statements at once only then.
        cursor.execute(read_sql(script))
    cursor.execute(sql.SQL("CREATE TEMP TABLE {} ()").format(sql.Identifier(mark)))
