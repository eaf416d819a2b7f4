"""Plans: which days of an import are run when, what became of them, and when trying again can help.

What belongs here: the ranges of an import in `history_sync.plan_ranges`, from the request to the
last of them, and the progress of any import. What does not: how days become ranges (`planning.py`),
the channel's columns and events (`lifecycle.py`), and whoever runs a range.

An import has a driver. One that a `run` of the UI began has no ranges. A `command` runs its ranges
itself, one after the other, and ends with the first that fails. The ranges of the `sensor` are run
one at a time, the newest first, over any number of ticks and restarts; whoever ends the last one
ends the import. Ranges are only changed under the channel's row lock, like the lifecycle itself, so
no two are ever taken at once.

What a failure means for the rest of a sensor's plan:

- transient: the range waits, longer each time, and so do those behind it;
- not ready: likewise, and when the session was not ready for about a day, the plan stops;
- configuration: the plan stops until a person has mended it and asks again;
- poison: these days cannot be read or loaded; the others go on, and the import fails at its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.cursor import CursorResult

from ventros_pipeline.crm import lifecycle
from ventros_pipeline.crm.channels import Channel, list_channels
from ventros_pipeline.crm.limits import DayRange, Wish
from ventros_pipeline.crm.preconditions import COMMAND, SENSOR, LifecycleError, State, written
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_all_projects, of_channel

WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"
CONFIGURATION, NOT_READY, TRANSIENT, POISON = "configuration", "not_ready", "transient", "poison"
# Tries of one range. With the waits below, a session may be away for about a day.
ATTEMPTS: Mapping[str | None, int] = {TRANSIENT: 8, NOT_READY: 28}
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=2), timedelta(hours=1)
# What is wrong with the channel is wrong with all of its days.
STOPPING = (CONFIGURATION, NOT_READY)
CANCELLED = "it was cancelled; what it had loaded is kept"


@dataclass(frozen=True)
class PlanRange:
    """Some days of a plan.

    Attributes:
        state: waiting, running, done or failed.
        attempt: how often it was begun.
        run_id: the run of the newest attempt, as far as it is known.
        failure: what kind of failure the newest attempt ended with; `error` says it in words.
        not_before: until when it is left alone; null for no such time.
    """

    from_day: date
    to_day: date
    state: str = WAITING
    attempt: int = 0
    run_id: UUID | None = None
    failure: str | None = None
    error: str | None = None
    not_before: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def days(self) -> DayRange:
        """Its days."""
        return DayRange(self.from_day, self.to_day)

    @property
    def attempt_name(self) -> str:
        """What the run of this attempt is found by, within its import."""
        return f"{self.from_day}:{self.to_day}:{self.attempt}"

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "from": self.from_day.isoformat(),
            "to": self.to_day.isoformat(),
            "state": self.state,
            "attempt": self.attempt,
            "failure": self.failure,
            "error": self.error,
            "not_before": _moment(self.not_before),
            "started_at": _moment(self.started_at),
            "ended_at": _moment(self.ended_at),
        }


@dataclass(frozen=True)
class Plan:
    """An import with its ranges and its progress.

    Attributes:
        status: requested, running, completed or failed.
        days, max_per_chat: what was asked for; null is no limit.
        surveyed: whether WAHA was asked how far back its messages go.
        runs: how many runs belong to it; the following figures are sums over them.
        messages: rows read from WAHA.
        seconds: how long they ran.
        ranges: newest first; none where a run of the UI began it.
    """

    import_id: UUID
    channel_id: UUID
    driver: str
    strategy: str
    status: str
    error: str | None
    days: int | None
    max_per_chat: int | None
    surveyed: bool
    requested_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    runs: int
    days_read: int
    messages: int
    contacts_created: int
    sessions_created: int
    seconds: float
    days_done: int
    days_total: int
    ranges: tuple[PlanRange, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.status in ("requested", "running")

    @property
    def running(self) -> PlanRange | None:
        """The range that is run now."""
        return next((found for found in self.ranges if found.state == RUNNING), None)

    @property
    def rate(self) -> float | None:
        """Messages a second while it ran; null before the first."""
        return self.messages / self.seconds if self.messages and self.seconds else None

    @property
    def seconds_left(self) -> float | None:
        """How long the days ahead take at the pace of those behind; null when unknown."""
        if not self.is_open or not self.days_done:
            return None
        return self.seconds / self.days_done * max(self.days_total - self.days_done, 0)

    def next_range(self, now: datetime) -> PlanRange | None:
        """Return the range to run now: the newest that waits, if it may and none is running."""
        if self.running is not None:
            return None
        found = next((found for found in self.ranges if found.state == WAITING), None)
        if found is None or (found.not_before is not None and found.not_before > now):
            return None
        return found

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "import_id": str(self.import_id),
            "driver": self.driver,
            "strategy": self.strategy,
            "status": self.status,
            "error": self.error,
            "days": self.days,
            "max_per_chat": self.max_per_chat,
            "surveyed": self.surveyed,
            "requested_at": _moment(self.requested_at),
            "started_at": _moment(self.started_at),
            "ended_at": _moment(self.ended_at),
            "runs": self.runs,
            "days_total": self.days_total,
            "days_done": self.days_done,
            "days_read": self.days_read,
            "messages": self.messages,
            "contacts_created": self.contacts_created,
            "sessions_created": self.sessions_created,
            "rate": None if self.rate is None else round(self.rate, 1),
            "seconds_left": None if self.seconds_left is None else round(self.seconds_left),
            "ranges": [found.as_json() for found in self.ranges],
        }


def request(
    engine: Engine,
    channel: Channel,
    wish: Wish,
    ranges: Sequence[DayRange],
    *,
    driver: str = SENSOR,
    group: str | None = None,
) -> UUID:
    """Reserve a channel for an import of these days; return the import's id.

    Args:
        ranges: without gaps or overlaps; the newest is run first.
        driver: who is to run them.
        group: as in `lifecycle.request`.

    Raises:
        AlreadyImportingError: an import runs or is about to.
        LifecycleError: the channel is off or not active, or the wish makes no sense.
    """
    if not ranges:
        raise LifecycleError(f"channel {channel.key}: there is no day to import")
    with lifecycle.transition(engine, channel) as (connection, state):
        import_id = lifecycle.reserve(connection, channel, state, wish, group)
        _describe(connection, import_id, wish, ranges, driver)
    return import_id


def describe(
    engine: Engine, channel: Channel, import_id: UUID, wish: Wish, ranges: Sequence[DayRange]
) -> None:
    """Store which days an import that a command has begun is going to run."""
    with lifecycle.transition(engine, channel) as (connection, _):
        _describe(connection, import_id, wish, ranges, COMMAND)


def replace_ranges(
    engine: Engine, channel: Channel, import_id: UUID, ranges: Sequence[DayRange], now: datetime
) -> bool:
    """Change a plan to what WAHA holds; return False where that was done, or a range was begun."""
    with lifecycle.transition(engine, channel) as (connection, _):
        marked = _run(connection, "mark_surveyed", import_id=import_id, now=now).first()
        if marked is None:
            return False
        _run(connection, "delete_ranges", import_id=import_id)
        _insert(connection, import_id, ranges)
    return True


def plan_of(engine: Engine, channel: Channel) -> Plan | None:
    """Return the newest import of a channel; None where there was none."""
    with of_channel(engine, channel).connect() as connection:
        found = _run(connection, "newest_import", channel_id=channel.id).scalars().all()
        return next(iter(_plans(connection, found)), None)


def open_plans(engine: Engine) -> list[Plan]:
    """Return the imports that the sensor is to go on with, in an order that stays."""
    with of_all_projects(engine).connect() as connection:
        return _plans(connection, _run(connection, "open_imports").scalars().all())


def running_imports(engine: Engine) -> list[Plan]:
    """Return the imports that have not ended, whoever runs them."""
    with of_all_projects(engine).connect() as connection:
        return _plans(connection, _run(connection, "running_imports").scalars().all())


def enabled_channels(engine: Engine) -> list[Channel]:
    """Return the channels whose import is on, by key."""
    with of_all_projects(engine).connect() as connection:
        enabled = set(_run(connection, "enabled_channels").scalars())
    return [channel for channel in list_channels(engine) if channel.id in enabled]


def unplanned_channels(engine: Engine) -> list[UUID]:
    """Return the channels that were enabled and were never imported."""
    with of_all_projects(engine).connect() as connection:
        return list(_run(connection, "unplanned_channels").scalars())


def take_range(
    engine: Engine,
    channel: Channel,
    import_id: UUID,
    from_day: date,
    now: datetime,
    run_id: str | None = None,
) -> PlanRange | None:
    """Begin a waiting range; None where it is not to be begun now, or another one is running."""
    values = {"import_id": import_id, "from_day": from_day, "now": now, "run_id": run_id}
    with lifecycle.transition(engine, channel) as (connection, _):
        row = _run(connection, "take_range", **values).mappings().first()
    return None if row is None else PlanRange(**row)


def release_range(engine: Engine, channel: Channel, import_id: UUID, taken: PlanRange) -> None:
    """Put a range back that was taken and that nobody has begun to run."""
    with lifecycle.transition(engine, channel) as (connection, _):
        _run(connection, "release_range", import_id=import_id, **_key(taken))


def end_range(
    engine: Engine,
    channel: Channel,
    import_id: UUID,
    taken: PlanRange,
    now: datetime,
    *,
    failure: str | None = None,
    error: str | None = None,
    run_id: str | None = None,
) -> None:
    """End a running range: done, or failed and perhaps tried again; the last one ends the import.

    Args:
        taken: as `take_range` gave it; an older attempt changes nothing.
        failure: what kind of failure it was; None if there was none.
        error: the same in words.
        run_id: the run that has run it, where it was not known before.
    """
    with lifecycle.transition(engine, channel) as (connection, state):
        driver = state.driver if state.import_id == import_id else None
        ending, not_before = _verdict(driver, failure, taken.attempt, now)
        values = {"failure": failure, "error": error, "run_id": run_id, "now": now, **_key(taken)}
        ended = _run(
            connection,
            "end_range",
            import_id=import_id,
            state=ending,
            not_before=not_before,
            **values,
        )
        if ended.first() is not None and driver == SENSOR:
            final = failure if ending == FAILED else None
            _go_on(connection, channel, state, import_id, final, error)


def tries_again(failure: str, attempt: int) -> bool:
    """Return whether a sensor's plan runs a range again that failed so at this attempt."""
    return attempt < ATTEMPTS.get(failure, 0)


def stop(engine: Engine, channel: Channel, reason: str) -> bool:
    """Fail the open import of a channel, whoever drives it; return whether there was one.

    Ranges that wait are never run. A run in flight ends by itself; what it loads is kept.
    """
    with lifecycle.transition(engine, channel) as (connection, state):
        if state.import_id is None:
            return False
        _run(connection, "drop_running", import_id=state.import_id, error=reason)
        lifecycle.end(connection, channel, state, reason)
    return True


def cancel(engine: Engine, channel: Channel) -> bool:
    """Fail the open import of a channel because a person said so; see `stop`."""
    return stop(engine, channel, CANCELLED)


def _go_on(
    connection: Connection,
    channel: Channel,
    state: State,
    import_id: UUID,
    failure: str | None,
    error: str | None,
) -> None:
    """End the import where a range has ended it."""
    if failure == CONFIGURATION:
        values = {"channel_id": channel.id, "problem": error}
        connection.exec_driver_sql(read_sql("ledger/note_problem.sql"), values)
    [plan] = _plans(connection, [import_id])
    ahead = [found.days.days for found in plan.ranges if found.state == WAITING]
    if failure in STOPPING:
        left = f" {sum(ahead)} further days were not imported." if ahead else ""
        lifecycle.end(connection, channel, state, f"{error or failure}{left}")
    elif not ahead:
        lifecycle.end(connection, channel, state, _lack(plan))


def _lack(plan: Plan) -> str | None:
    """Return which days a plan that has been run does not have, and why; None if it has all."""
    failed = [found for found in plan.ranges if found.state == FAILED]
    if not failed:
        return None
    named = ", ".join(f"{found.from_day} to {found.to_day}" for found in failed)
    return (
        f"{len(failed)} of {len(plan.ranges)} ranges failed, "
        f"{sum(found.days.days for found in failed)} of {plan.days_total} days: {named}. "
        f"What the others loaded is kept. {failed[0].error or ''}"
    ).rstrip()


def _verdict(
    driver: str | None, failure: str | None, attempt: int, now: datetime
) -> tuple[str, datetime | None]:
    """Return what becomes of a range, and until when it is left alone."""
    if failure is None:
        return DONE, None
    if driver != SENSOR or not tries_again(failure, attempt):
        return FAILED, None
    return WAITING, now + min(FIRST_WAIT * 2 ** (attempt - 1), LONGEST_WAIT)


def _describe(
    connection: Connection, import_id: UUID, wish: Wish, ranges: Sequence[DayRange], driver: str
) -> None:
    _run(
        connection,
        "describe_import",
        import_id=import_id,
        driver=driver,
        days=wish.days or None,
        max_per_chat=wish.limit or None,
    )
    _insert(connection, import_id, ranges)


def _insert(connection: Connection, import_id: UUID, ranges: Sequence[DayRange]) -> None:
    from_days = [days.first for days in ranges]
    to_days = [days.last for days in ranges]
    _run(connection, "insert_ranges", import_id=import_id, from_days=from_days, to_days=to_days)


def _plans(connection: Connection, import_ids: Sequence[UUID]) -> list[Plan]:
    values = {"import_ids": list(import_ids)}
    ranges: dict[UUID, list[PlanRange]] = {}
    for row in _run(connection, "select_ranges", **values).mappings():
        fields = dict(row)
        ranges.setdefault(fields.pop("import_id"), []).append(PlanRange(**fields))
    return [
        Plan(**row, ranges=tuple(ranges.get(row["import_id"], ())))
        for row in _run(connection, "select_plans", **values).mappings()
    ]


def _key(taken: PlanRange) -> dict[str, Any]:
    return {"from_day": taken.from_day, "attempt": taken.attempt}


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else written(moment)


def _run(connection: Connection, statement: str, **values: object) -> CursorResult[Any]:
    return connection.exec_driver_sql(read_sql(f"plans/{statement}.sql"), values)
