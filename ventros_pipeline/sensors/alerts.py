"""`failure_alert` and `problem_alert`: a person is told of what fails, and of what they must mend.

What belongs here: what Dagster knows of a failed run. What does not: whether it is worth a word,
the words, and sending (`alerting.py`). A webhook that is dead fails no run: these ticks are their
own.
"""

from __future__ import annotations

import dagster as dg

from ventros_pipeline.alerting import AlertError, FailedRun, tell_failed_run, tell_problems
from ventros_pipeline.jobs.incremental import INCREMENTAL_SYNC
from ventros_pipeline.resources import ATTENDED, PLANNED_RANGE, Pipeline
from ventros_pipeline.runs import said_by

NOBODY = "nobody is told of anything: VENTROS_ALERT_URL is not set"


@dg.run_failure_sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Tells VENTROS_ALERT_URL of each run that failed, and of the checks that do not "
    "hold, with a link to the run. Not of what is tried again by itself, and of one kind of "
    "failure of one channel once an hour.",
)
def failure_alert(context: dg.RunFailureSensorContext, pipeline: Pipeline) -> dg.SkipReason | None:
    """Tell of one failed run."""
    run = context.dagster_run
    if pipeline.settings.alert_url is None:
        return dg.SkipReason(NOBODY)
    if ATTENDED in run.tags:
        return dg.SkipReason("whoever started this run waits for it, and was told")
    try:
        told = tell_failed_run(
            pipeline.engine, pipeline.settings, _failed(context, run), pipeline.now()
        )
    except AlertError as error:
        context.log.warning(f"{error}; the run is {run.run_id}")
        return dg.SkipReason(str(error))
    return None if told else dg.SkipReason("it is tried again by itself, or was told already")


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Tells VENTROS_ALERT_URL once what a person has to mend before a channel can be "
    "read, and once that it is mended.",
)
def problem_alert(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> dg.SkipReason:
    """Tell of problems that are new, and of those that are mended."""
    if pipeline.settings.alert_url is None:
        return dg.SkipReason(NOBODY)
    try:
        told = tell_problems(pipeline.engine, pipeline.settings, pipeline.now())
    except AlertError as error:
        context.log.warning(str(error))
        return dg.SkipReason(str(error))
    return dg.SkipReason("; ".join(told) or "there is nothing to tell")


def _failed(context: dg.RunFailureSensorContext, run: dg.DagsterRun) -> FailedRun:
    records = context.instance.get_records_for_run(
        run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ).records
    events = [record.event_log_entry.dagster_event for record in records]
    checks = [event.asset_check_evaluation_data for event in events if event is not None]
    attempt = run.tags.get(PLANNED_RANGE, "").rpartition(":")[2]
    return FailedRun(
        run.run_id,
        run.job_name,
        said_by([*context.get_step_failure_events(), context.failure_event])
        or "its events in the UI say why",
        {check.check_name: check.description or "" for check in checks if not check.passed},
        int(attempt) if attempt else None,
        run.job_name == INCREMENTAL_SYNC,
    )
