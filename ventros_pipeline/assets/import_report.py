"""`import_report`: whether everything is there, in figures."""

import dagster as dg

from ventros_pipeline.assets import described
from ventros_pipeline.metadata import report_metadata
from ventros_pipeline.partitions import CHANNEL, channel_partitions
from ventros_pipeline.resources import Pipeline


def import_report_asset(crm_messages: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """Return the asset downstream of the loaded messages."""

    @dg.asset(
        partitions_def=channel_partitions,
        deps=[
            dg.AssetDep(
                crm_messages,
                partition_mapping=dg.MultiToSingleDimensionPartitionMapping(CHANNEL),
            )
        ],
        group_name="3_report",
        kinds={"python", "postgres"},
        owners=["team:crm"],
        description=described("import_report"),
    )
    def import_report(
        context: dg.AssetExecutionContext, pipeline: Pipeline
    ) -> dg.MaterializeResult[None]:
        """Write the report of each channel as it stands in the CRM."""
        # A result's metadata is stored with each of its partitions: each gets its own report only.
        for key in context.partition_keys:
            report = pipeline.report(pipeline.channel(key))
            context.add_asset_metadata(report_metadata(report), partition_key=key)
        return dg.MaterializeResult()

    return import_report
