"""`channel_directory`: what WAHA lists of a channel now."""

import dagster as dg

from ventros_pipeline.assets import described
from ventros_pipeline.metadata import DIRECTORY, column_schema
from ventros_pipeline.partitions import channel_partitions
from ventros_pipeline.resources import Pipeline


@dg.asset(
    partitions_def=channel_partitions,
    group_name="1_read",
    kinds={"python", "postgres"},
    metadata={"dagster/table_name": "history_sync.directory", **column_schema(DIRECTORY)},
    owners=["team:crm"],
    description=described("channel_directory"),
)
def channel_directory(
    context: dg.AssetExecutionContext, pipeline: Pipeline
) -> dg.MaterializeResult[None]:
    """Read the directory of each channel, and say how many contacts it made."""
    today = [pipeline.now().date()]
    for key in context.partition_keys:
        with pipeline.importing(key, context.run.run_id, today, last_step=True) as importer:
            created = importer.read_directory()
        context.add_asset_metadata({"contacts_created": created}, partition_key=key)
    return dg.MaterializeResult()
