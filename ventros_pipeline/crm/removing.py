"""Rows that go for good: messages, and what follows from them for the rows that stay.

What belongs here: the steps that undoing a run and erasing a person share. What does not: which
rows go (`undo.py`, `erasure.py`).

Nothing else in this pipeline deletes a message or a contact, and the role that imports may not.
"""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from psycopg import Cursor

from ventros_pipeline.crm import load
from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.database import PLANNED_BY_INDEX
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.staging import stage_messages

# Of which both need to delete.
_NEEDED = ("public.messages", "public.contacts", "public.chats", "public.trackings")
_MISSING = (
    "SELECT string_agg(name, ', ' ORDER BY name) FROM unnest(%s::text[]) AS name"
    " WHERE NOT has_table_privilege(name, 'DELETE')"
)


class RemovalError(Exception):
    """Nothing was removed; the message says what stands in the way and what to do."""


def check_rights(cursor: Cursor[Any]) -> None:
    """Make sure that this role may delete what both need to.

    Raises:
        RemovalError: it may not.
    """
    cursor.execute(_MISSING, [list(_NEEDED)])
    (missing,) = cursor.fetchone() or (None,)
    if missing:
        raise RemovalError(
            f"rows of {missing} are not this database role's to remove, and nothing was changed; "
            "set VENTROS_DATABASE_URL to the role that owns the CRM's tables for this one command"
        )


def who() -> str | None:
    """Return the account that runs this, as far as the machine knows."""
    with suppress(OSError, KeyError):
        return getpass.getuser()
    return None


def begin(cursor: Cursor[Any], channels: Sequence[Channel]) -> None:
    """Take the locks of loads and merges, all of them, and make the staging tables.

    Raises:
        RemovalError: this role may not delete.
    """
    check_rights(cursor)
    cursor.execute(PLANNED_BY_INDEX)
    for project in sorted({channel.project_id for channel in channels}):
        cursor.execute(read_sql("identity/lock_people.sql"), {"project_id": project})
    for channel in sorted(channels, key=lambda channel: channel.id):
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            (f"ventros/channel/{channel.id}",),
        )
    stage_messages(cursor)
    cursor.execute(read_sql("removing/create_removed.sql"))


def delete_messages(cursor: Cursor[Any]) -> int:
    """Delete the messages of `removed`, and take them out of what refers to them; return how many.

    The contacts of `concerned` are then to have their sessions cut anew (`cut_sessions`).
    """
    for statement in ("find_concerned", "unlink_replies", "loosen_clicks", "delete_groups"):
        cursor.execute(read_sql(f"removing/{statement}.sql"))
    cursor.execute(read_sql("removing/delete_messages.sql"))
    return cursor.rowcount


def cut_sessions(cursor: Cursor[Any], channels: Sequence[Channel], run_id: str) -> None:
    """Cut the sessions of the contacts of `concerned` anew, channel by channel."""
    for channel in channels:
        load.cut_sessions(cursor, channel, run_id, "removing/touch_concerned")
    projects = [channel.project_id for channel in channels]
    cursor.execute(read_sql("removing/delete_clicks.sql"), {"project_ids": projects})


def counted(counts: Mapping[str, int]) -> dict[str, int]:
    """Return only what there was any of."""
    return {name: count for name, count in counts.items() if count}
