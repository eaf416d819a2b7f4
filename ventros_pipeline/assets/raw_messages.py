"""`raw_messages`: WAHA's messages in the archive, exactly as returned."""

import dagster as dg
from pydantic import Field

from ventros_pipeline.archive import SCHEMA
from ventros_pipeline.assets import described
from ventros_pipeline.assets.channel_directory import channel_directory
from ventros_pipeline.crm.chats import addresses_of
from ventros_pipeline.crm.limits import last_days
from ventros_pipeline.importer import Importer
from ventros_pipeline.metadata import column_schema, row_count
from ventros_pipeline.partitions import partition_key, spans
from ventros_pipeline.resources import Pipeline, may_queue_again


class ReadConfig(dg.Config):
    """What of the days is read. The default is everything."""

    chats: list[str] = Field(
        default_factory=list,
        description="Only these chats, by their ids in the CRM (`public.chats.id`): a run's "
        "configuration is kept and shown, and WAHA's ids are phone numbers.",
    )


def raw_messages_asset(partitions: dg.MultiPartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset over a channel x date grid."""

    @dg.asset(
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[
            dg.AssetDep(
                channel_directory,
                partition_mapping=dg.MultiToSingleDimensionPartitionMapping("channel"),
            )
        ],
        group_name="1_read",
        kinds={"python", "polars", "parquet"},
        metadata=column_schema(SCHEMA),
        owners=["team:crm"],
        description=described("raw_messages"),
    )
    def raw_messages(
        context: dg.AssetExecutionContext, config: ReadConfig, pipeline: Pipeline
    ) -> dg.MaterializeResult[None]:
        """Read the days of each channel into the archive, and say what each of them brought."""
        today = pipeline.now().date()
        notes: list[str] = []
        for span in spans(context.partition_keys):
            with pipeline.importing(
                span.channel,
                context.run.run_id,
                span.days,
                last_step=False,
                requeue=may_queue_again(context.run.tags),
                wish=last_days(span.days[0], today, partial=bool(config.chats))
                if _loads(context)
                else None,
            ) as importer:
                created = importer.refresh_directory()
                if created is not None:  # The UI shows the directory as read then, too.
                    context.log_event(_directory_was_read(span.channel, created))
                for day in importer.read_days(span.days, chats=_chats(importer, config)):
                    key = partition_key(span.channel, day.day)
                    brought = {"rows_read": day.read, "new_versions": day.new_versions}
                    context.add_asset_metadata(row_count(day.known) | brought, partition_key=key)
                notes += [f"{span.channel}: {note}" for note in importer.notes]
        # Metadata of a result is stored with each of its partitions: only what is rare is there.
        return dg.MaterializeResult(metadata={"notes": "\n".join(notes)} if notes else {})

    return raw_messages


def _chats(importer: Importer, config: ReadConfig) -> list[str] | None:
    return addresses_of(importer.engine, importer.channel, config.chats) if config.chats else None


def _loads(context: dg.AssetExecutionContext) -> bool:
    """Return whether the run loads what it reads; filling the archive alone imports nothing."""
    return dg.AssetKey("crm_messages") in context.job_def.asset_layer.selected_asset_keys


def _directory_was_read(channel: str, contacts_created: int) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        channel_directory.key,
        partition=channel,
        metadata={"contacts_created": contacts_created},
    )
