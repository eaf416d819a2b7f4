"""What of the pipeline's own memory may go, and after how long.

What belongs here: which rows and days are of no more use. What does not: the archive's files and
Dagster's runs, which a caller deletes (`jobs/upkeep.py`). Nothing of the CRM's own is ever deleted
here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlalchemy.engine import Engine

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_all_projects, of_channel

# A hint that was followed is kept so that a repeated delivery of it is known as one.
KEEP_HINTS = timedelta(days=30)


def forget_hints(engine: Engine, now: datetime) -> int:
    """Delete hints that were followed long ago; return how many."""
    return _delete(engine, "retention/delete_hints.sql", now - KEEP_HINTS)


def forget_api_calls(engine: Engine, now: datetime) -> int:
    """Delete what rate limits remember of API keys that have stopped calling; return how many."""
    return _delete(engine, "retention/delete_api_calls.sql", now)


def forget_quarantine(engine: Engine, before: datetime) -> int:
    """Delete rows in quarantine that no load has met since; return how many."""
    return _delete(engine, "retention/delete_quarantine.sql", before)


def forget_changes(engine: Engine, before: datetime) -> int:
    """Delete what runs that began before a moment wrote over; return how many rows of it.

    Those runs cannot be undone any more.
    """
    return _delete(engine, "retention/delete_changes.sql", before)


def forget_loads(engine: Engine, before: datetime) -> int:
    """Delete loads of passes that changed nothing, and passes of which none is left.

    Returns:
        How many loads went.
    """
    loads = _delete(engine, "retention/delete_loads.sql", before)
    _delete(engine, "retention/delete_runs.sql", before)
    return loads


def spent_days(engine: Engine, channel: Channel, days: Sequence[date], before: date) -> list[date]:
    """Return those of some days whose archive is of no more use, oldest first.

    Args:
        days: days in the archive.
        before: the first day that is kept in any case.
    """
    return _days(engine, "retention/spent_days.sql", channel, days, before)


def settled_days(
    engine: Engine, channel: Channel, days: Sequence[date], before: date
) -> list[date]:
    """Return those of some days before a date that have stopped growing, oldest first."""
    return _days(engine, "retention/settled_days.sql", channel, days, before)


def _days(
    engine: Engine, statement: str, channel: Channel, days: Sequence[date], before: date
) -> list[date]:
    values = {"channel_id": channel.id, "days": list(days), "before": before}
    with of_channel(engine, channel).connect() as connection:
        return list(connection.exec_driver_sql(read_sql(statement), values).scalars())


def _delete(engine: Engine, statement: str, before: datetime) -> int:
    with of_all_projects(engine).begin() as connection:
        return connection.exec_driver_sql(read_sql(statement), {"before": before}).rowcount
