"""`incremental_sensor`: one cheap question for each channel, one run for each server with news.

What belongs here: the budget of a tick, which servers still have a run, and requests of runs. What
does not: what is asked and what it means (`probing.py`).
"""

import time
from datetime import UTC, datetime, timedelta
from functools import partial

import dagster as dg
from dagster import DagsterInstance
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.importer import Importer
from ventros_pipeline.jobs.incremental import INCREMENTAL_SYNC, SyncConfig, incremental_sync
from ventros_pipeline.probing import Look, look_around
from ventros_pipeline.resources import Pipeline
from ventros_pipeline.sensors import BUDGET_SECONDS, offset_of

WAHA_SERVER = "ventros/waha_server"
# How often WAHA is asked. What its webhooks have said, and days that are due, cost it nothing to
# find out, so they are looked for in between.
ASK_EVERY = timedelta(seconds=60)
LOOK_SECONDS = 15


@dg.sensor(
    job=incremental_sync,
    minimum_interval_seconds=LOOK_SECONDS,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Keeps imported channels in step. Asks WAHA once a minute for each of them whether "
    "anything has changed, and follows webhooks sooner. One run for each WAHA server with news.",
)
def incremental_sensor(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> dg.SensorResult:
    """Look around, and request what is wanted."""
    until = time.monotonic() + BUDGET_SECONDS
    now = pipeline.now()
    offset, asked_at = _read(context.cursor)
    asks = now - asked_at >= ASK_EVERY
    look = look_around(
        pipeline.engine,
        partial(_importer, pipeline),
        now=now,
        start=pipeline.settings.history_start,
        overlap=pipeline.settings.overlap,
        offset=offset,
        busy=_busy_servers(context.instance),
        until=until,
        asks=asks,
    )
    for channel, why in look.failures.items():
        context.log.warning(f"channel {channel} was not asked: {why}")
    requests = [
        dg.RunRequest(
            run_key=f"{server}:{now.isoformat()}",
            run_config=dg.RunConfig(ops={"sync_channels": SyncConfig(channels=channels)}),
            tags={WAHA_SERVER: server},
        )
        for server, channels in look.wanted.items()
    ]
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else _nothing_new(look, asks),
        cursor=_written(look.offset, now if asks else asked_at),
    )


def _read(cursor: str | None) -> tuple[int, datetime]:
    """Return the offset of the rotation, and when WAHA was last asked."""
    offset, _, second = (cursor or "").partition("@")
    asked_at = int(second) if second.isdecimal() else 0
    return offset_of(offset), datetime.fromtimestamp(asked_at, UTC)


def _written(offset: int, asked_at: datetime) -> str:
    return f"{offset}@{asked_at.timestamp():.0f}"


def _importer(pipeline: Pipeline, channel: Channel) -> Importer:
    return Importer(
        pipeline.engine, pipeline.archive, pipeline.settings, channel, run_id="", now=pipeline.now()
    )


def _busy_servers(instance: DagsterInstance) -> set[str]:
    """Return the servers of which a run is queued or not over: it reads what is new anyway."""
    filters = dg.RunsFilter(job_name=INCREMENTAL_SYNC, statuses=NOT_FINISHED_STATUSES)
    return {run.tags[WAHA_SERVER] for run in instance.get_runs(filters) if WAHA_SERVER in run.tags}


def _nothing_new(look: Look, asks: bool) -> str:
    if not asks:
        return "nothing is new of what is known without asking WAHA"
    failed = f"; {len(look.failures)} could not be asked" if look.failures else ""
    return f"{look.asked} channels were asked and nothing is new{failed}"
