"""Channel x date: the partitions, their keys, and any rectangle of keys as channels with days.

What belongs here: what Dagster calls a partition. What does not: which days are worth reading.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg

CHANNEL, DATE = "channel", "date"
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"

channel_partitions = dg.DynamicPartitionsDefinition(name=CHANNEL)


@dataclass(frozen=True)
class Span:
    """Contiguous UTC days of one channel, ascending."""

    channel: str
    days: tuple[date, ...]


def history_partitions(start: date) -> dg.MultiPartitionsDefinition:
    """Return the channel x date grid from `start` to today (today included)."""
    return dg.MultiPartitionsDefinition(
        {
            CHANNEL: channel_partitions,
            DATE: dg.DailyPartitionsDefinition(start_date=start.isoformat(), end_offset=1),
        }
    )


def partition_key(channel: str, day: date) -> str:
    """Return the key of one channel and day, as Dagster writes it (`channel|date`)."""
    return str(dg.MultiPartitionKey({CHANNEL: channel, DATE: day.isoformat()}))


def repair_range(run: dg.DagsterRun) -> None:
    """Make a range run that was launched from a job's page cover all of its days.

    A backfill of a job, unlike one of assets, tags its range run with channel and date of the first
    partition too (`dagster._core.execution.job_backfill` takes away `dagster/partition` only). They
    win over the range: one day of thirty is read, and the backfill is called complete.
    """
    if RANGE_START in run.tags:
        for dimension in (CHANNEL, DATE):
            run.tags.pop(f"dagster/partition/{dimension}", None)


def spans(keys: Iterable[str]) -> list[Span]:
    """Return the contiguous spans of any set of keys.

    `BackfillPolicy.single_run()` makes one run per value of the smaller dimension, so a run may
    hold one channel and a year, or twenty channels and a day, or any rectangle between.
    """
    by_channel: dict[str, set[date]] = {}
    for key in keys:
        channel, _, day = key.rpartition("|")
        by_channel.setdefault(channel, set()).add(date.fromisoformat(day))
    return [
        Span(channel, run)
        for channel, days in by_channel.items()
        for run in _contiguous(sorted(days))
    ]


def _contiguous(days: list[date]) -> Iterable[tuple[date, ...]]:
    run: list[date] = []
    for day in days:
        if run and day - run[-1] != timedelta(days=1):
            yield tuple(run)
            run = []
        run.append(day)
    if run:
        yield tuple(run)
