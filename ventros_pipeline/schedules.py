"""Schedules: what runs by the clock, once a person has turned it on.

What belongs here: when. What does not: what is done then (`jobs/`).
"""

import dagster as dg

from ventros_pipeline.jobs.incremental import SyncConfig, incremental_sync
from ventros_pipeline.jobs.people import identity_sweep
from ventros_pipeline.jobs.upkeep import nightly_checks, weekly_retention
from ventros_pipeline.settings import get_settings

# Off until a person turns it on, like everything that asks WAHA by itself. Not on the hour, when
# everybody's clockwork starts.
identity_sweep_hourly = dg.ScheduleDefinition(
    name="identity_sweep_hourly",
    job=identity_sweep,
    cron_schedule="17 * * * *",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Asks WAHA every hour for the numbers of people whom it has named by a hidden id "
    "(LID) alone, and merges contacts that turn out to be one person.",
)

nightly_checks_schedule = dg.ScheduleDefinition(
    name="nightly_checks",
    job=nightly_checks,
    cron_schedule="23 3 * * *",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Proves every imported channel at 03:23 UTC, and writes its report. Asks WAHA "
    "nothing.",
)

weekly_retention_schedule = dg.ScheduleDefinition(
    name="weekly_retention",
    job=weekly_retention,
    cron_schedule="47 4 * * 0",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Deletes what is of no more use on Sundays at 04:47 UTC: hints that were followed, "
    "runs that changed nothing, and old archive days only if VENTROS_ARCHIVE_KEEP_DAYS is set; "
    "puts settled days of the archive together by month.",
)


@dg.schedule(
    job=incremental_sync,
    cron_schedule="37 2 * * *",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Reads the last days of every imported channel again at 02:37 UTC, for acks, edits "
    "and revokes that nothing else shows, and what else is due.",
)
def settle_daily() -> dg.RunRequest:
    """Ask for a pass over all channels that reads the last days again."""
    config = SyncConfig(reread_days=get_settings().reread_days)
    return dg.RunRequest(run_config=dg.RunConfig(ops={"sync_channels": config}))
