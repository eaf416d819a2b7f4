"""Who may use the HTTP API: the CRM's own API keys, projects and memberships.

What belongs here: whose key it is, what its user may do with a channel, how often it may call. What
does not: HTTP (`api/`).

Keys are looked up by the SHA-256 that the CRM stores; the key itself is never stored, logged or
repeated. An unknown key costs what a known one costs: one lookup by an index.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Engine
from sqlalchemy.engine.cursor import CursorResult

from ventros_pipeline.crm.sql import read_sql

# How far back a rate limit looks.
WINDOW_SECONDS = 60.0


class Right(StrEnum):
    """What one may do with a channel's import."""

    READ = "read"
    START = "start"


_READ = frozenset({Right.READ})
_BOTH = frozenset({Right.READ, Right.START})

# What a role in the channel's project allows. A role that is not named here allows nothing.
PROJECT_ROLES: Mapping[str, frozenset[Right]] = {
    "owner": _BOTH,
    "admin": _BOTH,
    "supervisor": _BOTH,
    "agent": _READ,
    "viewer": _READ,
}
# What a user may do at most, whatever the role in a project: `users.role`.
USER_ROLES: Mapping[str, frozenset[Right]] = {
    "admin": _BOTH,
    "user": _BOTH,
    "manager": _BOTH,
    "readonly": _READ,
}


@dataclass(frozen=True)
class Caller:
    """A user who showed a valid key; `role` is the user's own, not one in a project."""

    key_id: UUID
    user_id: UUID
    role: str | None


def hash_of(key: str) -> str:
    """Return the form in which the CRM stores a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def caller_of(engine: Engine, key: str, now: datetime) -> Caller | None:
    """Return whose key it is and note its use, at most once a minute; None if it is not valid."""
    values = {"key_hash": hash_of(key), "now": now}
    with engine.begin() as connection:
        row = connection.exec_driver_sql(read_sql("api/select_key.sql"), values).mappings().first()
        if row is None:
            return None
        if row["unnoted"]:
            used = {"key_id": row["key_id"], "now": now}
            connection.exec_driver_sql(read_sql("api/note_use.sql"), used)
    return Caller(row["key_id"], row["user_id"], row["role"])


def rights_of(engine: Engine, caller: Caller, channel_id: UUID) -> frozenset[Right]:
    """Return what a caller may do with a channel: nothing if it is another tenant's, or unknown."""
    values = {"channel_id": channel_id, "user_id": caller.user_id}
    with engine.connect() as connection:
        rows: CursorResult[Any] = connection.exec_driver_sql(
            read_sql("api/select_roles.sql"), values
        )
        given = [PROJECT_ROLES.get(role, frozenset()) for role in rows.scalars()]
    return frozenset().union(*given) & USER_ROLES.get(caller.role or "", frozenset())


def count_call(engine: Engine, caller: Caller, kind: str, limit: int) -> float:
    """Count a call of a key and return 0, or the seconds until there is room for it.

    The window slides, and the count is the database's: processes that serve the API share it.

    Args:
        kind: calls of another kind are counted apart.
        limit: calls that one key may make in `WINDOW_SECONDS`.
    """
    values = {
        "key_id": caller.key_id,
        "kind": kind,
        "limit": limit,
        "window": WINDOW_SECONDS,
    }
    with engine.begin() as connection:
        wait = connection.exec_driver_sql(read_sql("api/count_call.sql"), values).scalar_one()
        connection.exec_driver_sql(read_sql("api/drop_idle.sql"))
    return float(wait)
