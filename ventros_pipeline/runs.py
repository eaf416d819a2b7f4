"""An import from the command line: the same jobs that the UI runs, run in this process.

What belongs here: turning planned days into Dagster runs. What does not: which days those are
(`planning.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import dagster as dg
from dagster import DagsterInstance
from dagster_shared.error import SerializableErrorInfo
from sqlalchemy.engine import Engine

from ventros_pipeline.crm import ledger, plans
from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.lifecycle import INTERRUPTED, taking_part
from ventros_pipeline.crm.limits import DayRange, Wish
from ventros_pipeline.instance import register_channels
from ventros_pipeline.jobs.imports import CHANNEL_REPORT, HISTORY_IMPORT
from ventros_pipeline.jobs.incremental import INCREMENTAL_SYNC, SyncConfig
from ventros_pipeline.partitions import RANGE_END, RANGE_START, partition_key
from ventros_pipeline.resources import ATTENDED, IMPORT

# The terminal shows progress and one sentence on failure; the events are in the UI.
QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}


class RunError(Exception):
    """A run failed; the message is what the failed step or check said."""


@dataclass(frozen=True)
class Import:
    """An import as it was carried out."""

    channel: str
    run_ids: list[str]
    first: date
    last: date
    seconds: float
    totals: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return the figures that `ventros import --json` prints."""
        return {
            "run_id": self.run_ids[-1],
            "channel": self.channel,
            "from": self.first.isoformat(),
            "to": self.last.isoformat(),
            **self.totals,
            "seconds": round(self.seconds, 3),
        }


def import_history(
    defs: dg.Definitions,
    instance: DagsterInstance,
    engine: Engine,
    channel: Channel,
    plan: Sequence[DayRange],
    *,
    chats: Sequence[str] = (),
    max_per_chat: int | None = None,
    force: bool = False,
    wish: Wish | None = None,
    watch: Callable[[str, DayRange], None] = lambda run_id, days: None,
) -> Import:
    """Run the planned days one range after the other, then the channel's report.

    All of it is one import of the channel's lifecycle: the CRM is told once that it began and once
    how it ended. The ranges are its plan, which says meanwhile how far it is.

    Args:
        plan: ranges in the order in which they run; the first that fails ends the import, and what
            ran before it is kept.
        chats: only these chats, by the CRM's ids.
        max_per_chat: only the newest so many messages of each chat.
        force: whether every row is looked at, also those that WAHA has not changed.
        wish: what was asked for, as the CRM is told; everything if omitted.
        watch: told of each run before it begins.

    Raises:
        RunError: a step or a check failed.
        LifecycleError: the channel may not be imported, or is being imported already.
    """
    register_channels(instance, [channel])
    began = monotonic()
    run_ids = []
    config = dg.RunConfig(
        ops={
            "raw_messages": {"config": {"chats": list(chats)}},
            "crm_messages": {
                "config": {"max_per_chat": max_per_chat, "partial": bool(chats), "force": force}
            },
        },
        loggers=QUIET,
    )
    asked = replace(wish or Wish(), limit=max_per_chat or 0, partial=bool(chats))
    with taking_part(engine, channel, str(uuid4()), asked) as import_id:
        plans.describe(engine, channel, import_id, asked, plan)
        for days in plan:
            run_id = str(uuid4())
            watch(run_id, days)
            tags = _tags(channel, days, import_id)
            with _planned(engine, channel, import_id, days, run_id):
                _run(defs, instance, HISTORY_IMPORT, run_id, tags=tags, run_config=config)
            run_ids.append(run_id)
    _report(defs, instance, channel)
    return Import(
        channel.key,
        run_ids,
        min(days.first for days in plan),
        max(days.last for days in plan),
        monotonic() - began,
        ledger.totals(engine, channel, run_ids),
    )


def load_again(
    defs: dg.Definitions,
    instance: DagsterInstance,
    channel: Channel,
    spans: Sequence[DayRange],
    *,
    watch: Callable[[str, DayRange], None] = lambda run_id, days: None,
) -> list[str]:
    """Load archived days once more, with all checks; WAHA is asked nothing.

    As when days are materialised by hand it is an import of a part, so that the next `--since last`
    reads from where it would have.

    Returns:
        The runs' ids.

    Raises:
        RunError: a step or a check failed; the ranges before it are loaded.
        LifecycleError: the channel may not be imported, or is being imported already.
    """
    register_channels(instance, [channel])
    group = uuid4()
    run_ids = []
    load = {"config": {"partial": True}}
    for days in spans:
        run_ids.append(str(uuid4()))
        watch(run_ids[-1], days)
        _run(
            defs,
            instance,
            HISTORY_IMPORT,
            run_ids[-1],
            asset_selection=[dg.AssetKey("crm_messages")],
            tags=_tags(channel, days, group),
            run_config=dg.RunConfig(ops={"crm_messages": load}, loggers=QUIET),
        )
    if spans:
        _report(defs, instance, channel)
    return run_ids


def _report(defs: dg.Definitions, instance: DagsterInstance, channel: Channel) -> None:
    _run(
        defs,
        instance,
        CHANNEL_REPORT,
        str(uuid4()),
        partition_key=channel.key,
        run_config=dg.RunConfig(loggers=QUIET),
    )


@contextmanager
def _planned(
    engine: Engine, channel: Channel, import_id: UUID, days: DayRange, run_id: str
) -> Iterator[None]:
    """Note in the plan that a range is run, and how it ended.

    Raises:
        RunError: somebody cancelled the import.
    """
    now = datetime.now(UTC)
    taken = plans.take_range(engine, channel, import_id, days.first, now, run_id)
    if taken is None:
        raise RunError(f"the import of {channel.key} has ended: {plans.CANCELLED}")
    failure: str | None = plans.TRANSIENT
    error: str | None = INTERRUPTED
    try:
        yield
        failure = error = None
    except RunError as failed:
        outcome = ledger.run_outcome(engine, channel, run_id)
        failure, error = outcome.failure if outcome else None, str(failed)
        failure = failure or plans.POISON
        raise
    finally:
        now = datetime.now(UTC)
        plans.end_range(engine, channel, import_id, taken, now, failure=failure, error=error)


def _tags(channel: Channel, days: DayRange, import_id: UUID) -> dict[str, str]:
    return {
        RANGE_START: partition_key(channel.key, days.first),
        RANGE_END: partition_key(channel.key, days.last),
        "ventros/channel": channel.key,
        "ventros/waha_server": channel.waha_server,
        ATTENDED: "true",
        IMPORT: str(import_id),
    }


def sync_channels(
    defs: dg.Definitions, instance: DagsterInstance, channels: Sequence[str]
) -> list[dict[str, Any]]:
    """Run one pass over channels, all that were ever imported if none is named.

    Returns:
        What was done of each channel, as `incremental_sync` tells it.

    Raises:
        RunError: a channel could not be read or loaded; the others were.
    """
    config = SyncConfig(channels=list(channels))
    result = defs.resolve_job_def(INCREMENTAL_SYNC).execute_in_process(
        instance=instance,
        raise_on_error=False,
        run_config=dg.RunConfig(ops={"sync_channels": config}, loggers=QUIET),
        tags={ATTENDED: "true"},
    )
    for event in result.all_events:
        if event.is_successful_output:
            lines: Any = event.step_output_data.metadata["channels"]
            return [dict(record.data) for record in lines.records]
    raise RunError(_why(result) or f"the run {result.run_id} failed; its events in the UI say why")


def today() -> date:
    """Return the last day of the calendar, UTC."""
    return datetime.now(UTC).date()


def _run(defs: dg.Definitions, instance: DagsterInstance, job: str, run_id: str, **how) -> None:  # type: ignore[no-untyped-def]
    result = defs.resolve_job_def(job).execute_in_process(
        instance=instance, run_id=run_id, raise_on_error=False, **how
    )
    if not result.success:
        raise RunError(_why(result) or f"the run {run_id} failed; its events in the UI say why")


def _why(result: dg.ExecuteInProcessResult) -> str | None:
    """Return what the check or step that failed said, or why no step began."""
    for check in result.get_asset_check_evaluations():
        if not check.passed:
            return f"check {check.check_name}: {check.description}"
    return said_by(result.all_events)


def said_by(events: Iterable[dg.DagsterEvent]) -> str | None:
    """Return what the first step of some events says that failed, or why no step began."""
    for event in events:
        if event.is_step_failure:
            return _said(event)
        if event.event_type == dg.DagsterEventType.RUN_FAILURE and event.job_failure_data.error:
            return _own_words(event.job_failure_data.error)
    return None


def _own_words(error: SerializableErrorInfo) -> str | None:
    """Return what an error of this project says; any other error's text may quote a row."""
    while error.cause is not None:
        error = error.cause
    kind, _, text = error.message.strip().partition(": ")
    return text if kind.startswith("ventros_pipeline.") else None


def _said(event: dg.DagsterEvent) -> str:
    """Return what a failed step said, or for anything unforeseen only what kind of error it was."""
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    cause = data.error.cause if data.error and data.error.cause else data.error
    return (
        f"step {event.step_key}: {cause.cls_name if cause else 'failed'}; see its events in the UI"
    )
