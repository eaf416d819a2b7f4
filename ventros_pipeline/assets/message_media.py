"""`message_media`: the media files of loaded messages, in the archive."""

from collections import Counter

import dagster as dg
from pydantic import Field, field_validator

from ventros_pipeline.assets import described
from ventros_pipeline.crm import media
from ventros_pipeline.metadata import sample_table
from ventros_pipeline.partitions import CHANNEL, channel_partitions
from ventros_pipeline.resources import Pipeline, may_queue_again
from ventros_pipeline.waha.media import CAPS


class MediaConfig(dg.Config):
    """Which files are fetched."""

    kinds: list[str] = Field(
        default=["image", "voice", "audio", "sticker", "document"],
        description=f"Content types, of {', '.join(CAPS)}.",
    )
    max_files: int = Field(
        default=500,
        ge=1,
        le=10_000,
        description="Most files of each channel in one run; the next run goes on.",
    )

    @field_validator("kinds")
    @classmethod
    def _known(cls, kinds: list[str]) -> list[str]:
        if not kinds or not set(kinds) <= set(CAPS):
            raise ValueError(f"kinds must be some of {', '.join(CAPS)}")
        return kinds


def message_media_asset(crm_messages: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """Return the asset downstream of the loaded messages."""

    @dg.asset(
        partitions_def=channel_partitions,
        deps=[
            dg.AssetDep(
                crm_messages,
                partition_mapping=dg.MultiToSingleDimensionPartitionMapping(CHANNEL),
            )
        ],
        group_name="2_load",
        kinds={"python", "postgres", "file"},
        owners=["team:crm"],
        description=described("message_media"),
    )
    def message_media(
        context: dg.AssetExecutionContext, config: MediaConfig, pipeline: Pipeline
    ) -> dg.MaterializeResult[None]:
        """Fetch files of each channel, and say what became of them."""
        today = [pipeline.now().date()]
        for key in context.partition_keys:
            with pipeline.importing(
                key,
                context.run.run_id,
                today,
                last_step=True,
                requeue=may_queue_again(context.run.tags),
                wait=None,
            ) as importer:
                outcomes = importer.fetch_media(config.kinds, max_files=config.max_files)
            done = Counter(outcome.state for outcome in outcomes)
            counts = media.counts(pipeline.engine, pipeline.channel(key))
            figures = {
                **{state: done[state] for state in ("stored", "expired", "refused", "wanted")},
                "bytes": sum(outcome.bytes or 0 for outcome in outcomes),
                "files": sample_table([{"channel": key, **row} for row in counts]),
            }
            context.add_asset_metadata(figures, partition_key=key)
        return dg.MaterializeResult()

    return message_media
