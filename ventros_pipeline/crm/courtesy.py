"""Turns at a WAHA server, shared by every process that uses the same database.

What belongs here: slots and pace in Postgres. What does not: their defaults and the protocol
(`waha/courtesy.py`), and what is asked during a turn.

`pyrate-limiter` 4.5.1 was read for this and left. Its Postgres bucket limits a rate and nothing
else, and half of the task is requests at the same time; it makes a table for each bucket in the
default schema, which on a real CRM is the CRM's and which a role there may not create in; it locks
the whole table without waiting and takes a busy lock (autovacuum's, too) for a spent budget; and it
reads the time of a request before the lock, so another process may have been given a later moment
in between. What is left to write is two statements.

A turn takes two connections of the engine for an instant and one while it lasts, as the slot is the
lock of an open transaction. That is what makes it a lease that nobody can forget: a killed
process's connection ends, and its slot is free at once; a process that hangs loses its session, and
with it the slot, after the lease. It holds with a pooler in transaction mode, too.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy import Connection
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError

from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.waha.courtesy import Limits, NoTurnError

_POLL_SECONDS = 0.05


@dataclass
class PostgresCourtesy:
    """Turns at WAHA servers, agreed with all other processes through the database.

    Attributes:
        engine: of the migrated database; its pool needs one connection for each thread that takes
            turns, and one more.
        limits: of each server. Processes should agree on them; where they do not, each keeps its
            own.
        lease: seconds after which a turn is taken away; above the longest request.
        sleep: waits so many seconds.
        clock: monotonic seconds.
    """

    engine: Engine
    limits: Limits = field(default_factory=Limits)
    lease: float = 400.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock, init=False)

    @contextmanager
    def turn(self, server: str) -> Iterator[None]:
        """Wait for a slot, then for the pace, and hold the slot for the length of the block.

        In this order: a moment taken before there is a slot would be stale when one is free, and
        several of them would be used at once.

        Args:
            server: `server_key` of the base URL.

        Raises:
            NoTurnError: no slot became free in time.
            sqlalchemy.exc.DBAPIError: the database cannot be asked.
        """
        slot, wait = self._begin(server)
        try:
            if wait > 0:
                self.sleep(wait)
            yield
        finally:
            self._give_back(slot)

    def _begin(self, server: str) -> tuple[Connection, float]:
        """Return the connection that holds the slot, and the seconds to wait."""
        deadline = self.clock() + self.limits.patience
        # One thread at a time: threads that each held a connection of the pool and waited for one
        # more would wait for each other.
        if not self._one_at_a_time.acquire(timeout=self.limits.patience):
            raise NoTurnError(server, self.limits)
        try:
            slot = self.engine.connect()
            try:
                self._take_slot(slot, server, deadline)
                return slot, self._take_token(server)
            except BaseException:
                slot.close()
                raise
        finally:
            self._one_at_a_time.release()

    def _take_slot(self, slot: Connection, server: str, deadline: float) -> None:
        values = {
            "server": server,
            "concurrency": self.limits.concurrency,
            "lease_ms": f"{self.lease * 1000:.0f}",
        }
        known = False
        while slot.exec_driver_sql(read_sql("courtesy/lease_slot.sql"), values).first() is None:
            slot.rollback()
            if not known:
                # None is free, or none is there: a new server, or a table emptied by a crash.
                slot.exec_driver_sql(read_sql("courtesy/make_slots.sql"), values)
                slot.commit()
                known = True
                continue
            if self.clock() >= deadline:
                raise NoTurnError(server, self.limits)
            # Uneven, so that waiting processes do not ask in step.
            self.sleep(_POLL_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311

    def _take_token(self, server: str) -> float:
        values = {
            "server": server,
            "spacing": self.limits.spacing,
            "saved": self.limits.saved,
        }
        with self.engine.begin() as connection:
            wait = connection.exec_driver_sql(read_sql("courtesy/take_token.sql"), values).scalar()
        return float(wait or 0)

    def _give_back(self, slot: Connection) -> None:
        # The session may be gone, and the slot with it; the request of this turn has come to its
        # end all the same, and its outcome must not be lost over that.
        with suppress(DBAPIError):
            slot.rollback()
        slot.close()
