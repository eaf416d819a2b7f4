"""What a person was told of channels, so that it is told once, whoever looks.

What belongs here: what there is to tell, and the claim on telling it. What does not: the words, and
how they are sent (`ventros_pipeline/alerting.py`).

A claim is a row whose lock is held while the message is on its way. What could not be sent is
rolled back and told at the next look; two processes never tell the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Engine

from ventros_pipeline.crm.channels import Channel, list_channels
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_all_projects, of_channel

PROBLEM = "problem"
# How long further failures of one kind of one channel are not told.
QUIET = timedelta(hours=1)


@dataclass(frozen=True)
class Problem:
    """What a person has to mend.

    Attributes:
        run_id: the newest run that failed on the channel; null where none did.
    """

    channel: Channel
    problem: str
    since: datetime
    run_id: UUID | None


@dataclass(frozen=True)
class Mended:
    """A problem that was told and is no more."""

    channel: Channel
    problem: str
    told_at: datetime


@dataclass(frozen=True)
class Failure:
    """How a run failed on one channel.

    Attributes:
        error: in words without content; null where nobody could say.
        failure: its kind, as in `plans`; null where nobody could say.
        has_problem: whether the channel waits for a person, who is told of that instead.
        failures_in_a_row: passes of the channel that failed one after the other.
    """

    channel: Channel
    from_day: date
    to_day: date
    days_read: int
    days_loaded: int
    error: str | None
    failure: str | None
    has_problem: bool
    failures_in_a_row: int


def problems(engine: Engine) -> list[Problem]:
    """Return the problems that nobody was told of, the oldest first."""
    return [
        Problem(channel, row["problem"], row["problem_since"], row["run_id"])
        for channel, row in _of_channels(engine, "select_problems")
    ]


def mended(engine: Engine) -> list[Mended]:
    """Return the problems that were told and are no more."""
    return [
        Mended(channel, row["said"], row["said_at"])
        for channel, row in _of_channels(engine, "select_mended")
    ]


def failures(engine: Engine, run_id: str) -> list[Failure]:
    """Return how a run failed, on each channel that it failed on."""
    found = _of_channels(engine, "select_failures", run_id=run_id)
    return [Failure(channel, **row) for channel, row in found]


def tell(
    engine: Engine, channel: Channel, topic: str, said: str, now: datetime, send: Callable[[], None]
) -> bool:
    """Send a message unless it was told already; return whether it was sent.

    A problem is told when it differs from the last one; a failure, when none of its kind was told
    for `QUIET`. What `send` raises leaves it untold.
    """
    values = {"topic": topic, "said": said, "now": now, "quiet": QUIET}
    return _claimed(engine, channel, "claim", values, send)


def tell_mended(engine: Engine, known: Mended, send: Callable[[], None]) -> bool:
    """Send that a problem is no more, once; return whether it was sent."""
    return _claimed(engine, known.channel, "forget_problem", {"said": known.problem}, send)


def _claimed(
    engine: Engine,
    channel: Channel,
    statement: str,
    values: dict[str, Any],
    send: Callable[[], None],
) -> bool:
    sql = read_sql(f"alerts/{statement}.sql")
    with of_channel(engine, channel).begin() as connection:
        claimed = connection.exec_driver_sql(sql, {"channel_id": channel.id, **values}).first()
        if claimed is not None:
            send()
    return claimed is not None


def _of_channels(
    engine: Engine, statement: str, **values: object
) -> list[tuple[Channel, dict[str, Any]]]:
    channels = {channel.id: channel for channel in list_channels(engine)}
    with of_all_projects(engine).connect() as connection:
        sql = read_sql(f"alerts/{statement}.sql")
        rows = [dict(row) for row in connection.exec_driver_sql(sql, values).mappings()]
    return [(channels[i], row) for row in rows if (i := row.pop("channel_id")) in channels]
