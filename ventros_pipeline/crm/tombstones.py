"""Who was erased, as far as anybody may know: whether a given address was.

What belongs here: tombstones, and asking for one address. What does not: setting them
(`erasure.py`), and where a row names people (`waha/erasing.py`).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from psycopg import Cursor
from sqlalchemy.engine import Engine

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_channel


@dataclass(frozen=True)
class Tombstones:
    """The tombstones of a project."""

    secret: bytes = field(default=b"", repr=False)
    digests: frozenset[bytes] = frozenset()
    _asked: dict[str, bool] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        """Return how many there are; none is ever taken back."""
        return len(self.digests)

    def covers(self, address: str) -> bool:
        """Return whether an address was erased."""
        if not self.digests:
            return False
        if (known := self._asked.get(address)) is None:
            known = self._asked[address] = self.digest_of(address) in self.digests
        return known

    def covers_any(self, addresses: Iterable[str]) -> bool:
        """Return whether any of some addresses was erased."""
        return any(self.covers(address) for address in addresses)

    def digest_of(self, address: str) -> bytes:
        """Return the tombstone of an address."""
        return hmac.digest(self.secret, address.encode(), "sha256")


def read_tombstones(cursor: Cursor[Any], project_id: UUID) -> Tombstones:
    """Return the tombstones of a project as this transaction sees them."""
    cursor.execute(read_sql("erasure/select_tombstones.sql"), {"project_id": project_id})
    row = cursor.fetchone()
    return Tombstones(bytes(row[0]), frozenset(map(bytes, row[1]))) if row else Tombstones()


@contextmanager
def archiving(engine: Engine, channel: Channel) -> Iterator[Tombstones]:
    """Give the tombstones for as long as a channel's archive is written, or read as a whole.

    Whoever takes rows out of the archive (`rewriting`) waits for it, and then finds what was
    written; whoever writes later has the new tombstones.
    """
    with _cursor(of_channel(engine, channel)) as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 0))", [_lock(channel)]
        )
        yield read_tombstones(cursor, channel.project_id)


@contextmanager
def rewriting(engine: Engine, channel: Channel) -> Iterator[None]:
    """Keep a channel's archive to oneself."""
    with _cursor(of_channel(engine, channel)) as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [_lock(channel)])
        yield


def _lock(channel: Channel) -> str:
    return f"ventros/archive/{channel.id}"


@contextmanager
def _cursor(served: Engine) -> Iterator[Cursor[Any]]:
    with served.begin() as connection:
        raw = connection.connection.driver_connection
        if raw is None:
            raise ConnectionError("the database connection was closed")
        with raw.cursor() as cursor:
            yield cursor
