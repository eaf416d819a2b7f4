"""What is remembered between passes: which channels are kept in step, and what WAHA showed last.

What belongs here: the state of probes and passes, and the hints of webhooks. What does not: asking
WAHA (`probing.py`, `syncing.py`), and days (`coverage.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Engine

from ventros_pipeline.crm.channels import Channel, list_channels
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_all_projects, of_channel


@dataclass(frozen=True)
class Candidate:
    """A channel that is kept in step.

    Attributes:
        engine: WAHA's engine as last seen; None before the first directory.
        watermark: the newest message time that was loaded.
        shown: what the last probe showed, as a hash.
        synced: what it had shown when the newest successful pass began.
        has_changed: whether these differ: a pass is due already.
        has_hints: whether a webhook said that something happened since the last pass.
        backs_off: whether it failed lately and is left alone.
    """

    channel: Channel
    engine: str | None
    watermark: datetime | None
    shown: str | None
    synced: str | None
    has_changed: bool
    has_hints: bool
    backs_off: bool


@dataclass(frozen=True)
class Begun:
    """A channel as it stands when a pass begins.

    Attributes:
        shown: see `Candidate`.
        known_until: up to when messages are known; None where nothing was ever imported.
        max_per_chat: the limit of the newest import, which older days keep to.
        hints: the webhooks' events that this pass will have answered.
    """

    shown: str | None
    known_until: datetime | None
    max_per_chat: int | None
    hints: Sequence[str]


def candidates(engine: Engine, now: datetime) -> list[Candidate]:
    """Return the channels that are kept in step, by key."""
    found = _rows(of_all_projects(engine), "sync/select_channels.sql", {"now": now})
    rows = {row.pop("id"): row for row in found}
    return [Candidate(c, **rows[c.id]) for c in list_channels(engine) if c.id in rows]


def begin(engine: Engine, channel: Channel) -> Begun:
    """Return what a pass starts from."""
    values = {"channel_id": channel.id}
    [row] = _rows(of_channel(engine, channel), "sync/select_state.sql", values)
    hints = [
        hint["event_id"]
        for hint in _rows(of_channel(engine, channel), "sync/select_hints.sql", values)
    ]
    return Begun(row["shown"], row["known_until"], row["max_per_chat"], hints)


def note_success(engine: Engine, channel: Channel, begun: Begun, now: datetime) -> None:
    """Remember a pass that read everything that was known to have changed when it began."""
    values = {"channel_id": channel.id, "now": now}
    _execute(of_channel(engine, channel), "sync/note_success.sql", {**values, "shown": begun.shown})
    if begun.hints:
        _execute(
            of_channel(engine, channel),
            "sync/end_hints.sql",
            {**values, "events": list(begun.hints)},
        )


def note_failure(engine: Engine, channel: Channel, now: datetime) -> None:
    """Leave a channel alone for a while: longer with each failure in a row."""
    _execute(
        of_channel(engine, channel), "sync/note_failure.sql", {"channel_id": channel.id, "now": now}
    )


def save_shown(engine: Engine, channel: Channel, shown: str, now: datetime) -> None:
    """Remember what a probe showed."""
    values = {"channel_id": channel.id, "shown": shown, "now": now}
    _execute(of_channel(engine, channel), "sync/save_shown.sql", values)


def _execute(served: Engine, statement: str, values: Mapping[str, Any]) -> None:
    with served.begin() as connection:
        connection.exec_driver_sql(read_sql(statement), dict(values))


def _rows(served: Engine, statement: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    with served.connect() as connection:
        result = connection.exec_driver_sql(read_sql(statement), dict(values))
        return [dict(row) for row in result.mappings()]
