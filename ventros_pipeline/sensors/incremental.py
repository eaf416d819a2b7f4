"""`incremental_sensor`: one cheap question for each channel, one run for each server with news.

What belongs here: the budget of a tick, which servers still have a run, and requests of runs. What
does not: what is asked and what it means (`probing.py`).
"""

import time
from functools import partial

import dagster as dg
from dagster import DagsterInstance
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.importer import Importer
from ventros_pipeline.incremental import INCREMENTAL_SYNC, SyncConfig, incremental_sync
from ventros_pipeline.probing import Look, look_around
from ventros_pipeline.resources import Pipeline
from ventros_pipeline.sensors import BUDGET_SECONDS, offset_of

WAHA_SERVER = "ventros/waha_server"


@dg.sensor(
    job=incremental_sync,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Asks WAHA once for each imported channel whether anything has changed, and reads "
    "what has: one run for each WAHA server.",
)
def incremental_sensor(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> dg.SensorResult:
    """Look around, and request what is wanted."""
    until = time.monotonic() + BUDGET_SECONDS
    now = pipeline.now()
    look = look_around(
        pipeline.engine,
        partial(_importer, pipeline),
        now=now,
        start=pipeline.settings.history_start,
        overlap=pipeline.settings.overlap,
        offset=offset_of(context.cursor),
        busy=_busy_servers(context.instance),
        until=until,
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
        skip_reason=None if requests else _nothing_new(look),
        cursor=str(look.offset),
    )


def _importer(pipeline: Pipeline, channel: Channel) -> Importer:
    return Importer(
        pipeline.engine, pipeline.archive, pipeline.settings, channel, run_id="", now=pipeline.now()
    )


def _busy_servers(instance: DagsterInstance) -> set[str]:
    """Return the servers of which a run is queued or not over: it reads what is new anyway."""
    filters = dg.RunsFilter(job_name=INCREMENTAL_SYNC, statuses=NOT_FINISHED_STATUSES)
    return {run.tags[WAHA_SERVER] for run in instance.get_runs(filters) if WAHA_SERVER in run.tags}


def _nothing_new(look: Look) -> str:
    failed = f"; {len(look.failures)} could not be asked" if look.failures else ""
    return f"{look.asked} channels were asked and nothing is new{failed}"
