"""What is remembered of loaded days, so that the next load looks only at what has changed.

What belongs here: keeping it and knowing whether it still holds. What does not: which rows differ
(`transform/prints.py`), and the load (`load.py`), in whose transaction it is written.

It holds as long as the messages of a day are those that the load left: one that the CRM deletes
for good takes its key with it, so its day is loaded as if for the first time, and the message comes
back. Who takes people apart, or moves messages between them, forgets the days concerned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import polars as pl
from psycopg import Cursor
from sqlalchemy.engine import Engine

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_channel
from ventros_pipeline.transform.prints import MEMORY

# To be raised whenever a row would be loaded otherwise than before: a rule of `waha/`, `transform/`
# or `sql/load/`. Everything is then looked at once more.
LOADER = 1


class ForgottenError(Exception):
    """What was remembered of these days holds no more; they have to be looked at as a whole."""


@dataclass(frozen=True)
class Memory:
    """What is remembered of some days.

    Attributes:
        rows: `MEMORY`.
        stamps: which memory it is, by day; days without any are not in it.
    """

    rows: pl.DataFrame = field(default_factory=MEMORY.to_frame)
    stamps: Mapping[date, UUID] = field(default_factory=dict)


def circumstances(channel: Channel, own_addresses: frozenset[str], start: date) -> str:
    """Return a hash of all but the row itself that decides what becomes of a row.

    Args:
        own_addresses: the account's own.
        start: first day of the calendar.
    """
    told = (
        LOADER,
        pl.__version__,
        sorted(own_addresses),
        start,
        channel.allow_groups,
        channel.contact_names,
        channel.session_timeout,
        channel.pipeline_id,
    )
    return hashlib.sha256(repr(told).encode()).hexdigest()


def recall(engine: Engine, channel: Channel, days: Sequence[date], circumstances: str) -> Memory:
    """Return what is remembered of days that were loaded under the same circumstances."""
    values = {"channel_id": channel.id, "days": list(days), "circumstances": circumstances}
    with of_channel(engine, channel).connect() as connection:
        found = connection.exec_driver_sql(read_sql("loaded/recall_days.sql"), values).all()
    frames = [
        pl.read_ipc(BytesIO(rows)).select(pl.lit(day, dtype=pl.Date).alias("day"), pl.all())
        for day, _, rows in found
    ]
    rows = pl.concat(frames).match_to_schema(MEMORY) if frames else MEMORY.to_frame()
    return Memory(rows, {day: stamp for day, stamp, _ in found})


def check(cursor: Cursor[Any], channel: Channel, memory: Memory) -> None:
    """Make sure that a memory still holds; inside the load's transaction, before anything else.

    Raises:
        ForgottenError: it does not.
    """
    if not memory.stamps:
        return
    cursor.execute(
        read_sql("loaded/find_forgotten.sql"),
        {
            "channel_id": channel.id,
            "days": list(memory.stamps),
            "stamps": list(memory.stamps.values()),
        },
    )
    if found := cursor.fetchall():
        raise ForgottenError(f"{len(found)} days have changed since they were loaded last")


def remember(
    cursor: Cursor[Any],
    channel: Channel,
    memory: Memory,
    rows: pl.DataFrame,
    days: Iterable[date],
    circumstances: str,
) -> None:
    """Remember days as they are now, at the end of the load's transaction.

    Args:
        memory: what was remembered of them; a day of which it is the same is not written.
        rows: `MEMORY`, of all of the days.
    """
    before, now = _by_day(memory.rows), _by_day(rows)
    empty = MEMORY.to_frame()
    frames = {day: now.get(day, empty) for day in days}
    for day in memory.stamps:
        if frames[day].equals(before.get(day, empty)):
            del frames[day]
    if not frames:
        return
    cursor.execute(
        read_sql("loaded/remember_days.sql"),
        {
            "channel_id": channel.id,
            "circumstances": circumstances,
            "days": list(frames),
            "rows": [_bytes(frame) for frame in frames.values()],
            "elsewhere": [_ids(frame["elsewhere"]) for frame in frames.values()],
            "gone": [_ids(frame["gone"]) for frame in frames.values()],
            "stamps": [uuid4() for _ in frames],
        },
    )


def _by_day(rows: pl.DataFrame) -> dict[date, pl.DataFrame]:
    """Return each day's rows, in one order."""
    return {
        key[0]: part
        for key, part in rows.sort("day", "row").partition_by("day", as_dict=True).items()
    }


def _ids(column: pl.Series) -> str:
    """Return ids as a Postgres array literal."""
    ids = column.drop_nulls()  # Of nearly every day there are none.
    return "{}" if ids.is_empty() else f"{{{','.join(ids.unique().sort())}}}"


def _bytes(frame: pl.DataFrame) -> bytes:
    out = BytesIO()
    frame.drop("day").rechunk().write_ipc(out, compression="uncompressed")
    return out.getvalue()
