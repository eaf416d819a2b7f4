"""The lifecycle of a channel's import, on the CRM's own columns and with the CRM's own events.

What belongs here: the transitions, who may make them, and the outbox rows that they write. What
does not: what each demands (`preconditions.py`), how far back an import reaches (`limits.py`), and
which of its days are run when (`plans.py`).

`channels.history_import_status` goes idle -> importing -> completed or failed. Each transition is
one transaction under the channel's row lock, and its event is a row of the same transaction; these
events are the only rows of an import that the CRM's outbox processor is to see. The original wrote
them with a random aggregate and without tenant and project, so that no consumer could tell whose
they were; here the aggregate is the channel, and tenant and project are its own.

Request and Start contradict each other in the CRM: Request sets `importing`, and Start refuses a
channel that is importing. Here a request reserves the channel, and a start is the second half of
the request that reserved it: it is refused only where the reservation is another import's. A
request that nobody starts within an hour is given up.

Who runs: an import is one `history_sync.imports` row and any number of processes that take part in
it (a command and its runs, or the runs of one backfill). Each holds an advisory lock in shared mode
until it leaves, and the last one to leave ends the import. So an import that is open while nobody
holds its lock has lost its process, and the next one to come fails it and begins anew; but not so
one whose plan the sensor goes on with, which is nobody's between two runs and ends with the last of
its days. Nothing but this bookkeeping rests on the lock: rows are safe by the loader's own locks
and constraints. A channel that says `importing` without an import of ours is the CRM's own business
and is refused; `ventros channel enable` sets it back to idle.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID, uuid4, uuid5

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.cursor import CursorResult
from sqlalchemy.exc import DBAPIError

from ventros_pipeline.crm.channels import Channel, agent_named
from ventros_pipeline.crm.limits import Wish, first_wanted, tighter
from ventros_pipeline.crm.preconditions import (
    AlreadyImportingError,
    Facts,
    LifecycleError,
    State,
    demand,
    written,
)
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_all_projects, of_channel
from ventros_pipeline.logs import log_of

__all__ = [
    "INTERRUPTED",
    "LOST",
    "SILENT",
    "AlreadyImportingError",
    "LifecycleError",
    "Participation",
    "State",
    "attach_run",
    "disable",
    "enable",
    "end",
    "first_day",
    "held",
    "reason_of",
    "request",
    "reserve",
    "state_of",
    "taking_part",
    "transition",
]

_LOG = log_of("lifecycle")
LOST = "its process ended without a word; what it had loaded is kept"
SILENT = "a run ended before all of its days were loaded; what it had loaded is kept"
INTERRUPTED = "it was interrupted; what it had loaded is kept"


def enable(
    engine: Engine,
    channel: Channel,
    *,
    agent: str | None = None,
    max_days: int | None = None,
    max_per_chat: int | None = None,
) -> None:
    """Turn imports of a channel on, with these limits and no others.

    Args:
        agent: name of the agent who gets the messages, made where there is none; None keeps the
            channel's.
        max_days: only the last so many days; None for no limit.
        max_per_chat: only the newest so many messages of each chat; None for no limit.

    Raises:
        LifecycleError: the channel is not connected, a limit is not above 0, or an import runs.
    """
    with transition(engine, channel) as (connection, found):
        state = _give_up_lost(connection, channel, found)
        demand("enable", Facts(channel, state, max_days=max_days, max_per_chat=max_per_chat))
        owner = {"id": channel.project_id, "tenant_id": channel.tenant_id}
        agent_id = agent_named(connection, owner, agent) if agent else None
        _enable(connection, channel, state, agent_id, max_days, max_per_chat)


def disable(engine: Engine, channel: Channel) -> None:
    """Turn imports of a channel off: the next one is refused, one that runs is not interrupted."""
    with transition(engine, channel) as (connection, state):
        demand("disable", Facts(channel, state))
        _run(connection, "disable_import", channel)
        _run(connection, "remember_decision", channel)


def request(engine: Engine, channel: Channel, wish: Wish, group: str | None = None) -> UUID:
    """Reserve a channel for an import that a run is to start.

    Args:
        group: what the runs of the import will call themselves; its id, where None.

    Returns:
        The import's id, which is its events' correlation id.

    Raises:
        AlreadyImportingError: an import runs or is about to.
        LifecycleError: the channel is off or not active, or the wish makes no sense.
    """
    with transition(engine, channel) as (connection, found):
        return reserve(connection, channel, found, wish, group)


def reserve(
    connection: Connection, channel: Channel, state: State, wish: Wish, group: str | None
) -> UUID:
    """Reserve a channel within a transition; see `request`."""
    state = _give_up_lost(connection, channel, state)
    demand("request", Facts(channel, state, wish))
    import_id = uuid4()
    _run(
        connection,
        "insert_import",
        channel,
        import_id=import_id,
        run_group=group or str(import_id),
        strategy=wish.strategy,
        partial=wish.partial,
    )
    _update(connection, channel, "importing", state.stats)
    payload = {
        "channel_id": str(channel.id),
        "channel_type": state.type,
        "correlation_id": str(import_id),
        "strategy": wish.strategy,
        "time_range_days": wish.days,
        "limit": tighter(wish.limit or None, state.max_per_chat) or 0,
        "requested_at": written(state.now),
    }
    _emit(connection, channel, "requested", import_id, payload)
    return import_id


def end(connection: Connection, channel: Channel, state: State, reason: str | None) -> None:
    """End the open import within a transition: completed, or failed for a reason.

    Runs of it that go on do not open it again.
    """
    if reason:
        _fail(connection, channel, state, reason)
    else:
        _complete(connection, channel, state)


def state_of(engine: Engine, channel: Channel) -> State:
    """Return a channel's lifecycle; `held` is not asked."""
    with of_channel(engine, channel).connect() as connection:
        return _read(connection, channel)


def held(engine: Engine, channel: Channel) -> bool:
    """Return whether any process takes part in an import of a channel."""
    with transition(engine, channel) as (_, state):
        return state.held


def first_day(engine: Engine, channel: Channel, wish: Wish, today: date) -> date | None:
    """Return the first day of an import, within the channel's limit; None for everything."""
    state = state_of(engine, channel)
    return first_wanted(
        wish, today=today, max_days=state.max_days, imported_until=state.imported_until
    )


def attach_run(engine: Engine, channel: Channel, import_id: UUID, run_id: str) -> None:
    """Count a run of the ledger to an import."""
    with of_channel(engine, channel).begin() as connection:
        _run(connection, "attach_run", channel, import_id=import_id, run_id=run_id)


@contextmanager
def taking_part(engine: Engine, channel: Channel, group: str, wish: Wish) -> Iterator[UUID]:
    """Take part in an import for the length of the block; an error fails it, with its sentence.

    Raises:
        LifecycleError: the import is refused.
    """
    part = Participation(engine, group)
    try:
        yield part.enter(channel, wish)
    except BaseException as error:
        part.fail(channel, reason_of(error))
        raise
    finally:
        part.leave()


def reason_of(error: BaseException) -> str:
    """Return why an import failed; any error's text but the project's own may quote a row."""
    if not isinstance(error, Exception):
        return INTERRUPTED
    known = type(error).__module__.startswith("ventros_pipeline")
    return str(error) if known else f"unexpected {type(error).__name__}"


class Participation:
    """One process's part in the imports of some channels.

    It holds one connection, idle in a transaction, from its first channel until it leaves.
    """

    def __init__(self, engine: Engine, group: str) -> None:
        """Prepare to take part.

        Args:
            engine: the CRM's database.
            group: processes of the same group take part in the same import; so does one that is
                called by the id of a requested import.
        """
        self._engine, self._group = engine, group
        self._holder: Connection | None = None
        self._imports: dict[UUID, tuple[Channel, UUID]] = {}
        self._reasons: dict[UUID, str] = {}

    def enter(self, channel: Channel, wish: Wish) -> UUID:
        """Join the group's import of a channel, or begin it; return its id.

        An import whose process is gone is failed first. A channel of which nobody ever said whether
        it may be imported is enabled: its flag is the CRM's default, and whoever starts an import
        has decided.

        Raises:
            AlreadyImportingError: another import of the channel runs.
            LifecycleError: imports of the channel were turned off, or it is not active.
        """
        if channel.id in self._imports:
            return self._imports[channel.id][1]
        with transition(self._engine, channel) as (connection, state):
            import_id = self._join_or_begin(connection, channel, state, wish)
            self._hold(channel)
        self._imports[channel.id] = (channel, import_id)
        return import_id

    def fail(self, channel: Channel, reason: str) -> None:
        """Remember why the import of a channel will have failed; the first reason counts."""
        self._reasons.setdefault(channel.id, reason)

    def leave(self) -> None:
        """Leave all imports, and end those that nobody else takes part in.

        Raises:
            sqlalchemy.exc.DBAPIError: the database is gone; whoever imports next ends them.
        """
        parts = [self._imports[channel_id] for channel_id in sorted(self._imports)]
        try:
            with of_all_projects(self._engine).begin() as connection:
                # All rows first: between the release of the locks and the end of an import nobody
                # may look, or it would take the import for a lost one.
                for channel, _ in parts:
                    _run(connection, "lock_channel", channel)
                self._release()
                for channel, import_id in parts:
                    self._leave(connection, channel, import_id)
        finally:
            self._release()
            self._imports.clear()

    def _join_or_begin(
        self, connection: Connection, channel: Channel, state: State, wish: Wish
    ) -> UUID:
        if state.import_id and self._group in (state.run_group, str(state.import_id)):
            if state.requested:
                return _start(connection, channel, state)
            if state.held or state.goes_on:
                return state.import_id
        self._refuse_ended(connection, channel)
        state = _give_up_lost(connection, channel, state)
        if not state.enabled and not state.decided:
            facts = Facts(channel, state, max_days=state.max_days, max_per_chat=state.max_per_chat)
            demand("enable", facts)
            _enable(connection, channel, state, None, state.max_days, state.max_per_chat)
            state = _read(connection, channel)
        reserve(connection, channel, state, wish, self._group)
        return _start(connection, channel, _read(connection, channel))

    def _refuse_ended(self, connection: Connection, channel: Channel) -> None:
        """Refuse what belongs to an import that has ended: it was cancelled, or is long done."""
        if _run(connection, "is_ended", channel, group=self._group).scalar_one():
            raise LifecycleError(
                f"channel {channel.key}: the import that this run belongs to has ended; begin a "
                f"new one, with `ventros import {channel.key}` or a new run of these days"
            )

    def _hold(self, channel: Channel) -> None:
        if self._holder is None:
            self._holder = self._engine.connect()
        _run(self._holder, "take_lock", channel)

    def _release(self) -> None:
        holder, self._holder = self._holder, None
        if holder is None:
            return
        try:
            holder.rollback()
        except DBAPIError:  # The connection was lost, and the locks with it.
            holder.invalidate()
        holder.close()

    def _leave(self, connection: Connection, channel: Channel, import_id: UUID) -> None:
        state = _read(connection, channel, ask_held=True)
        if state.import_id != import_id:
            return  # It was taken for lost; the columns are another import's now.
        reason = state.error or self._reasons.get(channel.id)
        if state.held or state.goes_on:
            if reason and not state.goes_on:  # What fails a planned range is tried again.
                _run(connection, "note_error", channel, import_id=import_id, error=reason)
            _save(connection, channel, state, "importing")
            return
        silent = _run(connection, "end_silent_runs", channel, import_id=import_id, error=SILENT)
        if not reason and silent.rowcount:
            reason = SILENT
        end(connection, channel, state, reason)


def _enable(
    connection: Connection,
    channel: Channel,
    state: State,
    agent_id: UUID | None,
    max_days: int | None,
    max_per_chat: int | None,
) -> None:
    limits = {"max_days": max_days, "max_per_chat": max_per_chat}
    _run(connection, "enable_import", channel, agent_id=agent_id, **limits)
    _run(connection, "remember_decision", channel)
    payload = {"AgentID": str(agent_id or channel.agent_id), **_signed(channel, state)}
    _emit(connection, channel, "enabled", uuid4(), payload)


def _start(connection: Connection, channel: Channel, state: State) -> UUID:
    demand("start", Facts(channel, state))
    import_id = _opened(state)
    _run(connection, "start_import", channel, import_id=import_id)
    _run(connection, "remember_decision", channel)
    _save(connection, channel, replace(state, started_at=state.now), "importing")
    _emit(connection, channel, "started", import_id, _signed(channel, state))
    _LOG.info("import started", channel=channel.key, import_id=import_id)
    return import_id


def _complete(connection: Connection, channel: Channel, state: State) -> None:
    demand("complete", Facts(channel, state))
    stats = _save(connection, channel, state, "completed")
    payload = {"Stats": stats, **_signed(channel, state)}
    _emit(connection, channel, "completed", _opened(state), payload)


def _fail(connection: Connection, channel: Channel, state: State, reason: str) -> None:
    demand("fail", Facts(channel, state))
    _save(connection, channel, state, "failed", reason)
    payload = {"Reason": reason, **_signed(channel, state)}
    _emit(connection, channel, "failed", _opened(state), payload)


def _give_up_lost(connection: Connection, channel: Channel, state: State) -> State:
    """Fail an open import that nobody takes part in and nobody is about to start."""
    if state.import_id is None or state.busy:
        return state
    _run(connection, "end_silent_runs", channel, import_id=state.import_id, error=LOST)
    _fail(connection, channel, state, LOST)
    return _read(connection, channel)


def _save(
    connection: Connection, channel: Channel, state: State, status: str, reason: str | None = None
) -> dict[str, Any]:
    """Write the figures of the open import to the channel, and its end; return the figures."""
    import_id = _opened(state)
    counts = _run(connection, "count_messages", channel, import_id=import_id).mappings().one()
    stats: dict[str, Any] = {
        "total": counts["processed"] + counts["failed"],
        "processed": counts["processed"],
        "failed": counts["failed"],
        "started_at": written(state.started_at or state.now),
    }
    if status != "importing":
        stats["ended_at"] = written(state.now)
        seconds = (state.now - (state.started_at or state.now)).total_seconds()
        log = _LOG.about(channel=channel.key, import_id=import_id)
        log.info("import ended", status=status, **counts, seconds=seconds)
        _run(connection, "end_import", channel, import_id=import_id, status=status, error=reason)
    imported = status == "completed" and not state.partial
    _update(connection, channel, status, stats, imported=imported)
    return stats


def _update(
    connection: Connection,
    channel: Channel,
    status: str,
    stats: Mapping[str, Any] | None,
    *,
    imported: bool = False,
) -> None:
    text = None if stats is None else json.dumps(dict(stats))
    _run(connection, "update_channel", channel, status=status, stats=text, imported=imported)


def _emit(
    connection: Connection,
    channel: Channel,
    event: str,
    transition_id: UUID,
    payload: Mapping[str, Any],
) -> None:
    """Write one event; a second one of the same import and kind is refused by its id."""
    _run(
        connection,
        "insert_event",
        channel,
        event_id=uuid5(transition_id, event),
        event_type=f"channel.history_import.{event}",
        event_data=json.dumps(payload),
        metadata=json.dumps({"correlation_id": str(transition_id)}),
        tenant_id=channel.tenant_id,
        project_id=channel.project_id,
    )


def _signed(channel: Channel, state: State) -> dict[str, str]:
    return {"ChannelID": str(channel.id), "Timestamp": written(state.now)}


def _opened(state: State) -> UUID:
    if state.import_id is None:
        raise LifecycleError("no import is open; begin one with `ventros import`")
    return state.import_id


@contextmanager
def transition(engine: Engine, channel: Channel) -> Iterator[tuple[Connection, State]]:
    """Open a transaction in which the channel's lifecycle stands still."""
    with of_channel(engine, channel).begin() as connection:
        _run(connection, "lock_channel", channel)
        yield connection, _read(connection, channel, ask_held=True)


def _read(connection: Connection, channel: Channel, *, ask_held: bool = False) -> State:
    """Return the lifecycle; whether it is held may only be asked under the row lock."""
    row = _run(connection, "select_state", channel).mappings().one()
    return State(**row, held=ask_held and _is_held(connection, channel))


def _is_held(connection: Connection, channel: Channel) -> bool:
    """Return whether any process takes part; rolling back to the savepoint gives the lock back."""
    attempt = connection.begin_nested()
    got_it = _run(connection, "try_lock", channel).scalar_one()
    attempt.rollback()
    return not got_it


def _run(
    connection: Connection, statement: str, channel: Channel, **values: object
) -> CursorResult[Any]:
    known = {"channel_id": channel.id, **values}
    return connection.exec_driver_sql(read_sql(f"lifecycle/{statement}.sql"), known)
