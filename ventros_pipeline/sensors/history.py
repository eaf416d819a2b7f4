"""`history_sensor`: goes on with every open plan, one run of each channel at a time.

What belongs here: finding runs by their tags, and requesting them. What does not: which range is
next, and what becomes of one that failed (`advancing.py`).
"""

import time
from uuid import UUID

import dagster as dg
from dagster import DagsterInstance
from dagster._core.storage.tags import MAX_RETRIES_TAG

from ventros_pipeline.advancing import Advance, Orchestrator, Seen, Wanted
from ventros_pipeline.crm.lifecycle import LOST
from ventros_pipeline.crm.plans import PlanRange
from ventros_pipeline.jobs.imports import history_import
from ventros_pipeline.partitions import (
    CHANNEL,
    RANGE_END,
    RANGE_START,
    channel_partitions,
    partition_key,
)
from ventros_pipeline.resources import IMPORT, PLANNED_RANGE, Pipeline
from ventros_pipeline.sensors import BUDGET_SECONDS, offset_of

# Between two runs of a plan lies one look, so this is what a run costs beyond itself. As often as
# the daemon looks at its sensors at all; WAHA is asked only once for each plan.
LOOK_SECONDS = 5
ENDED = {dg.DagsterRunStatus.SUCCESS: "succeeded"} | dict.fromkeys(
    (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED), "failed"
)


@dg.sensor(
    job=history_import,
    minimum_interval_seconds=LOOK_SECONDS,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Imports each channel whose import was turned on, and what is requested over HTTP: "
    "newest days first, one run of a channel at a time, until its plan is done.",
)
def history_sensor(
    context: dg.SensorEvaluationContext, pipeline: Pipeline
) -> dg.SensorResult | dg.SkipReason:
    """Settle what has run, and request what is next."""
    until = time.monotonic() + BUDGET_SECONDS
    advance = Advance(
        pipeline.engine,
        pipeline.archive,
        pipeline.settings,
        _orchestrator(context.instance),
        pipeline.now(),
        until,
    )
    tick = advance.look(offset_of(context.cursor))
    for note in tick.notes:
        context.log.warning(note)
    known = set(context.instance.get_dynamic_partitions(CHANNEL))
    fresh = [wanted.channel.key for wanted in tick.wanted if wanted.channel.key not in known]
    return dg.SensorResult(
        run_requests=[_request(wanted) for wanted in tick.wanted],
        dynamic_partitions_requests=[channel_partitions.build_add_request(fresh)] if fresh else [],
        cursor=str(tick.offset),
    )


def _request(wanted: Wanted) -> dg.RunRequest:
    channel, plan, taken = wanted.channel, wanted.plan, wanted.taken
    return dg.RunRequest(
        run_key=f"{plan.import_id}:{taken.attempt_name}",
        run_config=dg.RunConfig(
            ops={"crm_messages": {"config": {"max_per_chat": plan.max_per_chat}}}
        ),
        tags={
            RANGE_START: partition_key(channel.key, taken.from_day),
            RANGE_END: partition_key(channel.key, taken.to_day),
            "ventros/channel": channel.key,
            "ventros/waha_server": channel.waha_server,
            IMPORT: str(plan.import_id),
            PLANNED_RANGE: taken.attempt_name,
            # The plan tries again by itself, and knows better what can help.
            MAX_RETRIES_TAG: "0",
        },
    )


def _orchestrator(instance: DagsterInstance) -> Orchestrator:
    def run_of(import_id: UUID, taken: PlanRange) -> Seen | None:
        tags = {IMPORT: str(import_id), PLANNED_RANGE: taken.attempt_name}
        runs = instance.get_runs(dg.RunsFilter(tags=tags), limit=1)
        if not runs:
            return None
        begun = runs[0].status == dg.DagsterRunStatus.STARTED
        state = ENDED.get(runs[0].status, "going" if begun else "ahead")
        return Seen(runs[0].run_id, state)

    def report_lost(run_id: str) -> None:
        run = instance.get_run_by_id(run_id)
        if run is not None:
            instance.report_run_failed(run, LOST)

    return Orchestrator(run_of, report_lost)
