"""`channel_directory`: what WAHA lists of a channel now."""

import dagster as dg

from ventros_pipeline.partitions import channel_partitions
from ventros_pipeline.resources import Pipeline


@dg.asset(
    partitions_def=channel_partitions,
    group_name="1_read",
    kinds={"python", "postgres"},
    owners=["team:crm"],
)
def channel_directory(
    context: dg.AssetExecutionContext, pipeline: Pipeline
) -> dg.MaterializeResult[None]:
    """Chats, contacts, the LID table and groups of a channel, as WAHA lists them now.

    It says which addresses are one person and what people are called, and makes the contacts and
    chats of the listed conversations. Runs of the date assets refresh it by themselves when it is
    older than `VENTROS_DIRECTORY_MAX_AGE`, so it rarely needs a run of its own.
    """
    today = [pipeline.now().date()]
    created: dict[str, int] = {}
    for key in context.partition_keys:
        with pipeline.importing(key, context.run.run_id, today, last_step=True) as importer:
            created[key] = importer.read_directory()
    return dg.MaterializeResult(metadata={"contacts_created": sum(created.values())})
