"""Jobs that look after what is imported: nightly proofs and reports, weekly retention.

What belongs here: what such a run does over all channels, and how it says so. What does not: what
must hold (`crm/checks.py`), what may go (`crm/retention.py`), and when (`schedules.py`). Neither
job asks WAHA for anything.
"""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

import dagster as dg

from ventros_pipeline.crm import ledger, retention
from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.checks import Finding, Proof
from ventros_pipeline.crm.tombstones import rewriting
from ventros_pipeline.failures import explained
from ventros_pipeline.jobs.incremental import INCREMENTAL_SYNC
from ventros_pipeline.jobs.people import IDENTITY_SWEEP
from ventros_pipeline.metadata import report_metadata, sample_table
from ventros_pipeline.proving import prove_channel
from ventros_pipeline.resources import Pipeline

NIGHTLY_CHECKS = "nightly_checks"
WEEKLY_RETENTION = "weekly_retention"
REPORT = dg.AssetKey("import_report")

# Jobs that run by the clock or by a sensor, many times a day, and mostly find nothing to do.
FREQUENT_JOBS = (INCREMENTAL_SYNC, IDENTITY_SWEEP)
KEEP_RUNS = timedelta(days=30)
# Days are read again for a week or two, by the clock or by hand.
LONG_OVER = timedelta(days=31)
ENDED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]


@dg.op
def prove_channels(pipeline: Pipeline) -> Iterator[dg.AssetMaterialization | dg.Output[None]]:
    """Ask every proof of every channel that was ever imported, and log each one's report."""
    table: list[dict[str, Any]] = []
    problems: list[str] = []
    for channel in ledger.imported_channels(pipeline.engine):
        try:
            proved = prove_channel(pipeline.engine, pipeline.archive, channel)
            report = pipeline.report(channel)
        except Exception as error:  # noqa: BLE001 -- one channel hides no other's findings
            today = [pipeline.now().date()]
            problems.append(str(explained(error, channel.key, today).description))
            continue
        # Yielded, for what is only logged is lost when the op fails.
        yield dg.AssetMaterialization(
            REPORT, partition=channel.key, metadata=report_metadata(report)
        )
        table += [_line(channel, proof, finding) for proof, finding in proved]
        problems += [_problem(proof, finding) for proof, finding in proved if finding.found]
    metadata: dict[str, Any] = {"proofs": sample_table(table), "problems": len(problems)}
    if problems:
        raise dg.Failure("\n".join(problems), metadata=metadata, allow_retries=False)
    yield dg.Output(None, metadata=metadata)


@dg.op
def drop_what_is_old(context: dg.OpExecutionContext, pipeline: Pipeline) -> dg.Output[None]:
    """Delete what has grown old: of the pipeline's memory, the archive and Dagster's runs."""
    now = pipeline.now()
    undo_days = timedelta(days=pipeline.settings.undo_keep_days)
    metadata = {
        "hints": retention.forget_hints(pipeline.engine, now),
        "api_calls": retention.forget_api_calls(pipeline.engine, now),
        "changes": retention.forget_changes(pipeline.engine, now - undo_days),
        "loads": retention.forget_loads(pipeline.engine, now - undo_days),
        # Before the archive: a day goes when nothing of it waits any more.
        "quarantine": _drop_quarantine(pipeline, now),
        **_drop_archive_days(pipeline, now),
        "archive_files_joined": _compact_archive(pipeline, now),
        "runs": _drop_idle_runs(context.instance, now),
    }
    return dg.Output(None, metadata=metadata)


@dg.job(
    name=NIGHTLY_CHECKS,
    description="Asks every proof of every channel that was ever imported, over all of its days, "
    "and writes each channel's report. Reads the database and the archive, never WAHA. A proof "
    "that does not hold fails the run after all channels were looked at.",
)
def nightly_checks() -> None:
    """Prove all channels."""
    prove_channels()


@dg.job(
    name=WEEKLY_RETENTION,
    description="Deletes hints that were followed 30 days ago, idle counters of rate limits, what "
    "runs wrote over more than VENTROS_UNDO_KEEP_DAYS ago (they cannot be undone any more), loads "
    "of passes that changed nothing and are as old, of days that were loaded again since, rows "
    "in quarantine if VENTROS_QUARANTINE_KEEP_DAYS is set and no load has met them for so long, "
    "and runs of incremental_sync and identity_sweep that ended 30 days ago and materialised "
    "nothing (a run that did is what the UI knows a partition by). Archive days only if "
    "VENTROS_ARCHIVE_KEEP_DAYS is set, and then only those older that are settled and of which "
    "nothing waits in quarantine: everything in the CRM can be rebuilt from the archive without "
    "asking WAHA, and a day that is deleted only from what WhatsApp still has. Settled days of "
    "months that ended 31 days ago are put together into one file a month, which releases before "
    "this one do not see.",
)
def weekly_retention() -> None:
    """Drop what is of no more use."""
    drop_what_is_old()


def _line(channel: Channel, proof: Proof, finding: Finding) -> dict[str, Any]:
    return {"channel": channel.key, "check": proof.name, "found": finding.found}


def _problem(proof: Proof, finding: Finding) -> str:
    return f"check {proof.name}: {proof.told(finding)}"


def _drop_quarantine(pipeline: Pipeline, now: datetime) -> int:
    """Delete old rows in quarantine if that is wanted; return how many."""
    keep = pipeline.settings.quarantine_keep_days
    return (
        0
        if keep is None
        else retention.forget_quarantine(pipeline.engine, now - timedelta(days=keep))
    )


def _drop_archive_days(pipeline: Pipeline, now: datetime) -> dict[str, int]:
    """Delete days from the archive if that is wanted; return how many, and their bytes."""
    keep = pipeline.settings.archive_keep_days
    if keep is None:
        return {"archive_days": 0, "archive_bytes": 0}
    before = now.date() - timedelta(days=keep)
    days, freed = 0, 0
    for channel in ledger.imported_channels(pipeline.engine):
        kept = _ordinary_days(pipeline, channel)
        spent = retention.spent_days(pipeline.engine, channel, kept, before)
        with rewriting(pipeline.engine, channel):
            freed += pipeline.archive.delete(channel.key, spent)
        days += len(spent)
    return {"archive_days": days, "archive_bytes": freed}


def _compact_archive(pipeline: Pipeline, now: datetime) -> int:
    """Put settled days of months that are long over together; return how many files that saves."""
    last = (now - LONG_OVER).date().replace(day=1)
    saved = 0
    for channel in ledger.imported_channels(pipeline.engine):
        kept = _ordinary_days(pipeline, channel)
        settled = retention.settled_days(pipeline.engine, channel, kept, last)
        # A year at a time: whoever reads or loads the channel waits for it.
        for _, days in groupby(settled, lambda day: day.year):
            with rewriting(pipeline.engine, channel):
                saved += pipeline.archive.compact(channel.key, list(days))
    return saved


def _ordinary_days(pipeline: Pipeline, channel: Channel) -> list[date]:
    """Return the days in the archive, without the calendar's first day.

    That one stands for rows of any age, and is read again and again.
    """
    start = pipeline.settings.history_start
    return [day for day in pipeline.archive.days(channel.key) if day > start]


def _drop_idle_runs(instance: dg.DagsterInstance, now: datetime) -> int:
    """Delete old runs that left nothing behind; return how many."""
    idle = [run_id for run_id in _old_runs(instance, now) if not _materialised(instance, run_id)]
    for run_id in idle:
        instance.delete_run(run_id)
    return len(idle)


def _old_runs(instance: dg.DagsterInstance, now: datetime) -> Iterable[str]:
    for job in FREQUENT_JOBS:
        yield from instance.get_run_ids(
            dg.RunsFilter(job_name=job, statuses=ENDED, updated_before=now - KEEP_RUNS)
        )


def _materialised(instance: dg.DagsterInstance, run_id: str) -> bool:
    made = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION, limit=1
    )
    return bool(made.records)
