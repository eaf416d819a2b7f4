"""Rows that could not be read: which ones wait, why, and what became of those that came in.

What belongs here: looking at them, and showing one without what it says. What does not: putting
rows in and letting them go, which are part of a load's transaction (`load.py`).

No load remembers a row that waits here (`transform/prints.py`), so every load of its day looks at
it again, and one that can be read by then comes in like any other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy.engine import Engine

from ventros_pipeline.crm import sealing
from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.limits import DAY, DayRange
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_channel

# A name of a member as programs write them; anything else may be a number or a text.
_PLAIN_NAME = re.compile(r"[A-Za-z_$][A-Za-z_$]{0,39}")


class QuarantineError(Exception):
    """A row is not there, or no day can be loaded again; the message says what to do."""


@dataclass(frozen=True)
class Letter:
    """One row.

    Attributes:
        id: a name that says nothing of the row.
        day: UTC day it was read in.
        reason: why it cannot be read; `waha/wire.py` says so.
        times_seen: how many loads could not read it.
        resolved_at: when it came in; null while it waits.
        became: what the load made of it then.
        payload: the row as archived; empty where it was not asked for, or has come in.
    """

    id: str
    day: date
    reason: str
    times_seen: int
    first_seen_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None
    became: str | None
    payload: str = field(default="", repr=False)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data, without the payload; times as ISO 8601 text."""
        values = {name: value for name, value in asdict(self).items() if name != "payload"}
        return {n: v.isoformat() if hasattr(v, "isoformat") else v for n, v in values.items()}


@dataclass(frozen=True)
class Heap:
    """Rows of one day that wait for one reason."""

    reason: str
    day: date
    rows: int
    first_seen_at: datetime
    last_seen_at: datetime

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data; times as ISO 8601 text."""
        values = asdict(self)
        return {n: v.isoformat() if hasattr(v, "isoformat") else v for n, v in values.items()}


def heaps(engine: Engine, channel: Channel) -> list[Heap]:
    """Return what waits, by reason and day."""
    return [Heap(**row) for row in _rows(engine, channel, "list_reasons")]


def letters(engine: Engine, channel: Channel, *, resolved: bool = False) -> list[Letter]:
    """Return every row that waits, newest day first; with `resolved` also those that came in."""
    return [Letter(**row) for row in _rows(engine, channel, "list_rows", resolved=resolved)]


def letter(engine: Engine, channel: Channel, name: str) -> Letter:
    """Return a row with its payload.

    Raises:
        QuarantineError: there is none of that id.
        sealing.SealError: its payload cannot be opened.
    """
    found = _rows(engine, channel, "select_row", id=name)
    if not found:
        raise QuarantineError(
            f"channel {channel.key}: no row in quarantine has the id {name}; "
            f"`ventros quarantine list {channel.key} --rows` names them"
        )
    kept = Letter(**found[0])
    return replace(kept, payload=sealing.open(kept.payload))


def waiting_days(engine: Engine, channel: Channel) -> dict[date, int]:
    """Return the days on which rows wait, and how many."""
    found: dict[date, int] = {}
    for heap in heaps(engine, channel):
        found[heap.day] = found.get(heap.day, 0) + heap.rows
    return dict(sorted(found.items()))


def spans(days: Iterable[date], archived: Sequence[date], run_days: int) -> list[DayRange]:
    """Return few ranges that hold some days, newest first, none longer than `run_days`.

    What lies between two of them costs little to load again, and a run costs a second; so days are
    put together as long as the archive has all that lies between.

    Args:
        days: to be loaded again; those that are not archived are left out.
        archived: days that the archive has.
    """
    there = set(archived)
    found: list[DayRange] = []
    for day in sorted(there.intersection(days)):
        if found and _joins(found[-1], day, there, run_days):
            found[-1] = DayRange(found[-1].first, day)
        else:
            found.append(DayRange(day, day))
    return found[::-1]


def _joins(span: DayRange, day: date, archived: set[date], run_days: int) -> bool:
    between = (span.last + DAY * n for n in range(1, (day - span.last).days))
    return (day - span.first).days < run_days and archived.issuperset(between)


def redacted(payload: str) -> str:
    """Return the shape of a row: names of members, and of each value its kind and length.

    A name that is not one that programs write may be a phone number, and is left out, too.
    """
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        return f"<no JSON, {len(payload):,} characters>"
    return json.dumps(_shape(value), indent=2, ensure_ascii=False)


def _shape(value: Any, depth: int = 0) -> Any:
    if depth > 20:
        return "<deeper>"
    if isinstance(value, dict):
        return {
            name if _PLAIN_NAME.fullmatch(name) else f"<name {n}>": _shape(member, depth + 1)
            for n, (name, member) in enumerate(value.items())
        }
    if isinstance(value, list):
        return [_shape(member, depth + 1) for member in value]
    if isinstance(value, str):
        return f"<text, {len(value):,} characters>"
    if value is None or isinstance(value, bool):
        return value
    return f"<number, {len(str(value))} digits>"


def _rows(engine: Engine, channel: Channel, question: str, **values: object) -> list[Any]:
    known = {"channel_id": channel.id, **values}
    with of_channel(engine, channel).connect() as connection:
        found = connection.exec_driver_sql(read_sql(f"quarantine/{question}.sql"), known)
        return [dict(row) for row in found.mappings()]
