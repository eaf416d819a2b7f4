"""Jobs: what is run together."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from pydantic import Field

from ventros_pipeline.crm.sweep import channels_to_sweep
from ventros_pipeline.metadata import sample_table
from ventros_pipeline.resources import Pipeline

HISTORY_IMPORT = "history_import"
CHANNEL_REPORT = "channel_report"
IDENTITY_SWEEP = "identity_sweep"

history_import = dg.define_asset_job(
    HISTORY_IMPORT,
    selection=dg.AssetSelection.assets("raw_messages", "crm_messages"),
    description="Reads days of a channel from WAHA and loads them into the CRM, with all checks.",
)
channel_report = dg.define_asset_job(
    CHANNEL_REPORT,
    selection=dg.AssetSelection.assets("import_report"),
    description="Writes the report of a channel: balance, coverage, kinds, people.",
)


class SweepConfig(dg.Config):
    """How much of a sweep is done at once."""

    max_lids: int = Field(
        default=200,
        ge=1,
        le=10_000,
        description="Most LIDs of each channel that WAHA is asked about in one run; the next run "
        "goes on.",
    )


@dg.op
def sweep_people(
    context: dg.OpExecutionContext, config: SweepConfig, pipeline: Pipeline
) -> dg.Output[None]:
    """Ask WAHA for the numbers of people who are known by a LID alone, channel by channel."""
    today = [datetime.now(UTC).date()]
    table, failures = [], []
    for channel in channels_to_sweep(pipeline.engine):
        try:
            with pipeline.importing(channel.key, context.run_id, today, last_step=True) as importer:
                swept = importer.sweep_people(max_lids=config.max_lids)
        except dg.Failure as failure:  # One server that is down keeps no other from being asked.
            failures.append(str(failure.description))
            continue
        note = " ".join(importer.notes)
        table.append({"channel": channel.key, **asdict(swept), "note": note})
    metadata: dict[str, Any] = {"channels": sample_table(table), "failed": len(failures)}
    if failures:
        raise dg.Failure("\n".join(failures), metadata=metadata, allow_retries=False)
    return dg.Output(None, metadata=metadata)


@dg.job(
    name=IDENTITY_SWEEP,
    description="Asks WAHA, LID by LID, for numbers that its lists did not name, and merges the "
    "contacts that turn out to be one person.",
)
def identity_sweep() -> None:
    """Run the sweep over all channels."""
    sweep_people()
