"""Turns: one run at a time reads and loads a channel, whoever started it.

What belongs here: the lock that a step holds while it has a channel's days in its hands. What does
not: whether the channel may be imported at all, which is the lifecycle's (`lifecycle.py`), and the
safety of rows, which rests on the loader's own locks and constraints.

Two imports of one channel never run, but an import and an incremental pass may meet, and so may
two runs of one backfill; and two readers of one day would both write its archive file. So each step
takes the channel's turn first. It is an advisory lock in a transaction of its own, and ends with
the process that holds it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.sql import read_sql

POLL_SECONDS = 0.5


class ChannelBusyError(Exception):
    """Another run has the channel in its hands; it passes by itself."""


@contextmanager
def channel_turn(engine: Engine, channel: Channel, *, wait: float) -> Iterator[None]:
    """Have a channel to oneself for the length of the block.

    Args:
        wait: seconds to wait for whoever has it now; 0 does not wait.

    Raises:
        ChannelBusyError: somebody else has it still.
    """
    connection = engine.connect()
    try:
        _take(connection, channel, wait)
        yield
    finally:
        try:
            connection.rollback()
        except DBAPIError:  # The connection was lost, and the turn with it.
            connection.invalidate()
        connection.close()


def _take(connection: Connection, channel: Channel, wait: float) -> None:
    """Ask until it is given; a statement that waits itself would keep vacuum back meanwhile."""
    until = time.monotonic() + wait
    statement, values = read_sql("turns/take_turn.sql"), {"channel_id": channel.id}
    while not connection.exec_driver_sql(statement, values).scalar_one():
        left = until - time.monotonic()
        if left <= 0:
            raise ChannelBusyError(
                f"another run reads or loads channel {channel.key}; it passes by itself"
            )
        time.sleep(min(POLL_SECONDS, left))
