"""`build_defs`: one assembly of all definitions, for the UI, the command line and tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from ventros_pipeline.assets.channel_directory import channel_directory
from ventros_pipeline.assets.crm_messages import crm_messages_asset
from ventros_pipeline.assets.import_report import import_report_asset
from ventros_pipeline.assets.media_enrichment import media_enrichment_asset
from ventros_pipeline.assets.message_media import message_media_asset
from ventros_pipeline.assets.raw_messages import raw_messages_asset
from ventros_pipeline.checks import message_checks
from ventros_pipeline.jobs.imports import channel_report, history_import
from ventros_pipeline.jobs.incremental import incremental_sync
from ventros_pipeline.jobs.people import contact_avatars, identity_sweep
from ventros_pipeline.jobs.upkeep import nightly_checks, weekly_retention
from ventros_pipeline.partitions import history_partitions
from ventros_pipeline.resources import Pipeline
from ventros_pipeline.schedules import (
    identity_sweep_hourly,
    nightly_checks_schedule,
    settle_daily,
    weekly_retention_schedule,
)
from ventros_pipeline.sensors.alerts import failure_alert, problem_alert
from ventros_pipeline.sensors.channels import channel_sensor
from ventros_pipeline.sensors.history import history_sensor
from ventros_pipeline.sensors.incremental import incremental_sensor
from ventros_pipeline.settings import Settings, get_settings


def build_defs(
    *, resource_overrides: Mapping[str, Any] | None = None, settings: Settings | None = None
) -> dg.Definitions:
    """Assemble the code location.

    Args:
        resource_overrides: resources by name that take the place of the real ones.
        settings: what to read the calendar's start from; this process's settings if omitted.
    """
    partitions = history_partitions((settings or get_settings()).history_start)
    raw_messages = raw_messages_asset(partitions)
    crm_messages = crm_messages_asset(partitions, raw_messages)
    return dg.Definitions(
        assets=[
            channel_directory,
            raw_messages,
            crm_messages,
            message_media_asset(crm_messages),
            media_enrichment_asset(crm_messages),
            import_report_asset(crm_messages),
        ],
        asset_checks=message_checks(crm_messages),
        jobs=[
            history_import,
            incremental_sync,
            channel_report,
            identity_sweep,
            contact_avatars,
            nightly_checks,
            weekly_retention,
        ],
        schedules=[
            identity_sweep_hourly,
            settle_daily,
            nightly_checks_schedule,
            weekly_retention_schedule,
        ],
        sensors=[
            channel_sensor,
            history_sensor,
            incremental_sensor,
            failure_alert,
            problem_alert,
        ],
        resources={"pipeline": Pipeline(), **(resource_overrides or {})},
        # A process per step costs 3 to 4 seconds; the steps of a run share everything.
        executor=dg.in_process_executor,
    )
