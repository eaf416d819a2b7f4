"""How far each day of a channel is known, and which days are to be looked at again.

What belongs here: what reads and checks leave behind, and the question what is due. What does not:
asking WAHA (`syncing.py`), and the load's own judgement, which is part of its transaction
(`sql/load/upsert_coverage.sql`).

History arrives for hours after pairing, with old times and no sign of its end, so a day once read
is not a day complete. A day is *unknown* (nothing, or some of its chats alone), *reading* (not
over, or never read as a whole since), *settling* (it grew at the last check), *settled* (it did
not) or *exhausted* (three checks in a row and a week without growth: it is not checked any more).
A row that comes late, from wherever, opens its day again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Engine

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_all_projects, of_channel


@dataclass(frozen=True)
class DueDay:
    """A day that is to be looked at.

    Attributes:
        why: `settle`, it may still grow; `ended`, it was never read as a whole since it was over;
            `acks`, own messages of it are on their way; `hint`, WAHA said that something changed;
            `reread`, it was asked for.
    """

    day: date
    why: str


def note_read(engine: Engine, channel: Channel, rows: Mapping[date, int], now: datetime) -> None:
    """Remember that days were read as a whole, and how many rows WAHA showed of each."""
    if rows:
        values = {"channel_id": channel.id, "now": now}
        counts = {"days": list(rows), "rows": list(rows.values())}
        _execute(of_channel(engine, channel), "coverage/note_read.sql", {**values, **counts})


def note_quiet(engine: Engine, channel: Channel, days: Sequence[date], now: datetime) -> None:
    """Remember a check that found nothing new of some days."""
    values = {"channel_id": channel.id, "days": list(days), "now": now}
    _execute(of_channel(engine, channel), "coverage/note_quiet.sql", values)


def due_days(
    engine: Engine,
    now: datetime,
    *,
    start: date,
    overlap: timedelta,
    channels: Iterable[UUID] | None = None,
    reread_days: int = 0,
) -> dict[UUID, list[DueDay]]:
    """Return the days that are to be looked at now, by channel, ascending.

    Args:
        now: UTC.
        start: first day of the calendar.
        overlap: how far the reading of what is new reaches back; hints in it need no more.
        channels: only these; all if omitted.
        reread_days: of how many last days changes are looked for, whatever is known of them.
    """
    values = {
        "now": now,
        "start": start,
        "overlap": overlap,
        "channels": None if channels is None else list(channels),
        "reread_days": reread_days,
    }
    found: dict[UUID, list[DueDay]] = {}
    for row in _rows(of_all_projects(engine), "coverage/select_due_days.sql", values):
        found.setdefault(row["channel_id"], []).append(DueDay(row["day"], row["why"]))
    return {channel: sorted(days, key=lambda due: due.day) for channel, days in found.items()}


def rows_of(engine: Engine, channel: Channel, days: Sequence[date]) -> dict[date, int]:
    """Return how many rows the last whole read of each day showed."""
    values = {"channel_id": channel.id, "days": list(days)}
    return {
        row["day"]: row["rows"]
        for row in _rows(of_channel(engine, channel), "coverage/select_days.sql", values)
    }


def gap_of(engine: Engine, channel: Channel, start: date) -> tuple[date, date] | None:
    """Return the first and last day of the past that is wanted and was never looked at, or None.

    An import of everything leaves out the days before WAHA's oldest message; older ones may come.

    Args:
        start: first day of the calendar.
    """
    rows = _rows(
        of_channel(engine, channel),
        "coverage/select_gap.sql",
        {"channel_id": channel.id, "start": start},
    )
    return (rows[0]["from_day"], rows[0]["to_day"]) if rows else None


def list_days(engine: Engine, channel: Channel) -> list[dict[str, Any]]:
    """Return what is known of each day: day, state, rows, and the moments of its checks."""
    return _rows(of_channel(engine, channel), "coverage/list_days.sql", {"channel_id": channel.id})


def _execute(served: Engine, statement: str, values: Mapping[str, Any]) -> None:
    with served.begin() as connection:
        connection.exec_driver_sql(read_sql(statement), dict(values))


def _rows(served: Engine, statement: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    with served.connect() as connection:
        result = connection.exec_driver_sql(read_sql(statement), dict(values))
        return [dict(row) for row in result.mappings()]
