"""Schedules: what runs by the clock, once a person has turned it on.

What belongs here: when. What does not: what is done then (`jobs.py`).
"""

import dagster as dg

from ventros_pipeline.jobs import identity_sweep

# Off until a person turns it on, like everything that asks WAHA by itself. Not on the hour, when
# everybody's clockwork starts.
identity_sweep_hourly = dg.ScheduleDefinition(
    name="identity_sweep_hourly",
    job=identity_sweep,
    cron_schedule="17 * * * *",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Asks WAHA every hour whose the LIDs without a number are.",
)
