"""What was done, as data: runs and their progress, balances, coverage; readable meanwhile.

What belongs here: writing a run's progress and reading the figures of reports and checks. What does
not: the load itself, which writes its own balance inside its transaction (`load.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
from sqlalchemy.engine import Engine

from ventros_pipeline.crm.channels import Channel, list_channels
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_all_projects, of_channel
from ventros_pipeline.logs import log_of

_LOG = log_of("ledger")
COUNTS = ("seen", "inserted", "updated", "unchanged", "duplicate", "filtered", "quarantined")
PROGRESS = ("days_read", "days_loaded", "messages_read", "requests", "retries")


@dataclass(frozen=True)
class ChannelState:
    """What is known of a channel between runs; null where nothing is."""

    own_addresses: frozenset[str] = frozenset()
    engine: str | None = None
    waha_version: str | None = None
    directory_read_at: datetime | None = None
    watermark: datetime | None = None
    problem: str | None = None
    problem_since: datetime | None = None
    settle_due: bool = False


@dataclass(frozen=True)
class RunOutcome:
    """How a run stands: running, completed or failed, and how many seconds ago it began."""

    status: str
    failure: str | None
    error: str | None
    seconds: float


def start_run(engine: Engine, channel: Channel, run_id: str, first: date, last: date) -> None:
    """Open the ledger of a run for one channel; a second call for the same run changes nothing."""
    values = {"run_id": run_id, "channel_id": channel.id, "from_day": first, "to_day": last}
    if _returned(of_channel(engine, channel), "ledger/start_run.sql", values):
        log = _LOG.about(channel=channel.key, run=run_id)
        log.info("run started", **{"from": first, "to": last})


def add_progress(engine: Engine, channel: Channel, run_id: str, **counts: int) -> None:
    """Add to a run's counters: any of `PROGRESS`, `contacts_created`, `sessions_created`."""
    columns = ("contacts_created", "sessions_created", *PROGRESS)
    values = {**dict.fromkeys(columns, 0), **counts}
    _execute(
        of_channel(engine, channel),
        "ledger/add_progress.sql",
        {"run_id": run_id, "channel_id": channel.id, **values},
    )


def end_run(
    engine: Engine,
    channel: Channel,
    run_id: str,
    error: str | None = None,
    failure: str | None = None,
) -> None:
    """Close a run: completed, or failed with what a person should know.

    Args:
        error: why it failed, in words.
        failure: the same as one of four kinds, by which a plan tries again or does not.
    """
    status = "failed" if error else "completed"
    values = {
        "run_id": run_id,
        "channel_id": channel.id,
        "status": status,
        "error": error,
        "failure": failure,
    }
    for done in _returned(of_channel(engine, channel), "ledger/end_run.sql", values):
        log = _LOG.about(channel=channel.key, run=run_id, status=status, failure=failure)
        log.info("run ended", **done)


def note_problem(engine: Engine, channel: Channel, problem: str) -> bool:
    """Remember what a person has to mend; return whether that is news."""
    values = {"channel_id": channel.id, "problem": problem}
    return bool(_returned(of_channel(engine, channel), "ledger/note_problem.sql", values))


def clear_problem(engine: Engine, channel: Channel) -> None:
    """Forget a channel's problem: it could be read."""
    _execute(of_channel(engine, channel), "ledger/clear_problem.sql", {"channel_id": channel.id})


def open_breaker(engine: Engine, channel: Channel, rest: timedelta) -> None:
    """Remember for how long a process leaves a channel's session alone."""
    _execute(
        of_channel(engine, channel),
        "ledger/open_breaker.sql",
        {"channel_id": channel.id, "rest": rest},
    )


def close_breaker(engine: Engine, channel: Channel) -> None:
    """Remember that a session that was left alone has answered."""
    _execute(of_channel(engine, channel), "ledger/close_breaker.sql", {"channel_id": channel.id})


def run_outcome(engine: Engine, channel: Channel, run_id: str) -> RunOutcome | None:
    """Return how a run has ended, or that it goes on; None where it never began on the channel."""
    values = {"run_id": run_id, "channel_id": channel.id}
    rows = _rows(of_channel(engine, channel), "ledger/run_outcome.sql", values)
    return RunOutcome(**rows[0]) if rows else None


def loaded_days(engine: Engine, channel: Channel, run_id: str) -> set[date]:
    """Return the days that this run has loaded already: a step that is retried goes on there."""
    rows = _rows(
        of_channel(engine, channel),
        "ledger/loaded_days.sql",
        {"run_id": run_id, "channel_id": channel.id},
    )
    return {row["day"] for row in rows}


def settled_days(engine: Engine, channel: Channel, days: Sequence[date]) -> set[date]:
    """Return those of some days that had stopped growing."""
    values = {"channel_id": channel.id, "days": list(days)}
    return {
        row["day"] for row in _rows(of_channel(engine, channel), "ledger/settled_days.sql", values)
    }


def newer_rows(engine: Engine, channel: Channel, day: date) -> pl.DataFrame:
    """Return each known address's conversation, and its `newer` messages of days after `day`.

    Columns are `chat`, `conversation` and `newer`.
    """
    values = {"channel_id": channel.id, "project_id": channel.project_id, "day": day}
    rows = _rows(of_channel(engine, channel), "ledger/newer_rows.sql", values)
    columns = {"chat": pl.String, "conversation": pl.String, "newer": pl.Int64}
    return pl.DataFrame(rows, schema=columns)


def channel_state(engine: Engine, channel: Channel) -> ChannelState:
    """Return what is known of a channel."""
    rows = _rows(
        of_channel(engine, channel), "ledger/channel_state.sql", {"channel_id": channel.id}
    )
    if not rows:
        return ChannelState()
    row = dict(rows[0])
    return ChannelState(own_addresses=frozenset(row.pop("own_addresses")), **row)


def end_settling(engine: Engine, channel: Channel) -> None:
    """Remember that contacts have followed the evidence of all loads."""
    _execute(of_channel(engine, channel), "ledger/end_settling.sql", {"channel_id": channel.id})


def imported_channels(engine: Engine) -> list[Channel]:
    """Return the channels of which days were ever loaded, by key."""
    with of_all_projects(engine).connect() as connection:
        rows = connection.exec_driver_sql(read_sql("ledger/imported_channels.sql"))
        ids = set(rows.scalars())
    return [channel for channel in list_channels(engine) if channel.id in ids]


def totals(engine: Engine, channel: Channel, run_ids: list[str]) -> dict[str, int]:
    """Return the sums of some runs: counts, contacts and sessions made, requests, retries."""
    rows = _rows(
        of_channel(engine, channel),
        "ledger/totals.sql",
        {"channel_id": channel.id, "run_ids": run_ids},
    )
    return {name: int(value or 0) for name, value in rows[0].items()}


def overview(engine: Engine, channel: Channel) -> dict[str, Any]:
    """Return the figures of a channel as it stands in the CRM now (`ledger/overview.sql`)."""
    return _rows(of_channel(engine, channel), "ledger/overview.sql", {"channel_id": channel.id})[0]


def latest_balance(engine: Engine, channel: Channel) -> list[dict[str, Any]]:
    """Return the newest balance line of every day that was ever loaded, oldest day first."""
    return _rows(
        of_channel(engine, channel), "ledger/latest_balance.sql", {"channel_id": channel.id}
    )


def closes(balance: Mapping[str, int]) -> bool:
    """Return whether every row that was seen is accounted for."""
    return balance["seen"] == sum(balance[name] for name in COUNTS if name != "seen")


def coverage(engine: Engine, channel: Channel) -> list[dict[str, Any]]:
    """Return the days of a channel by coverage state: state, days, from_day, to_day, rows."""
    return _rows(of_channel(engine, channel), "ledger/coverage.sql", {"channel_id": channel.id})


def current_runs(engine: Engine, channel: Channel, run_ids: list[str]) -> list[dict[str, Any]]:
    """Return the progress of some runs, for whoever watches them."""
    return _rows(
        of_channel(engine, channel),
        "ledger/current_runs.sql",
        {"channel_id": channel.id, "run_ids": run_ids},
    )


def _execute(served: Engine, statement: str, values: Mapping[str, Any]) -> None:
    with served.begin() as connection:
        connection.exec_driver_sql(read_sql(statement), dict(values))


def _returned(served: Engine, statement: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    with served.begin() as connection:
        result = connection.exec_driver_sql(read_sql(statement), dict(values))
        return [dict(row) for row in result.mappings()]


def _rows(served: Engine, statement: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    with served.connect() as connection:
        result = connection.exec_driver_sql(read_sql(statement), dict(values))
        return [dict(row) for row in result.mappings()]
