"""`crm_messages`: archived days in the CRM's own tables."""

from collections import Counter
from datetime import date

import dagster as dg
from pydantic import Field

from ventros_pipeline.assets import described
from ventros_pipeline.assets.channel_directory import channel_directory
from ventros_pipeline.crm.ledger import COUNTS
from ventros_pipeline.crm.limits import last_days
from ventros_pipeline.crm.tables import messages
from ventros_pipeline.metadata import (
    balance_table,
    column_lineage,
    column_schema,
    reasons_table,
    row_count,
)
from ventros_pipeline.partitions import partition_key, spans
from ventros_pipeline.resources import Pipeline, may_queue_again


class LoadConfig(dg.Config):
    """What of the days is loaded. The default is everything."""

    max_per_chat: int | None = Field(
        default=None,
        ge=1,
        description="Only the newest so many messages of each chat; load later days first.",
    )
    partial: bool = Field(
        default=False, description="Whether only some chats of these days were read."
    )
    force: bool = Field(
        default=False,
        description="Look at every row, also at those that have not changed since they were loaded "
        "last; mends what was changed in the CRM by hand.",
    )


def crm_messages_asset(
    partitions: dg.MultiPartitionsDefinition, raw_messages: dg.AssetsDefinition
) -> dg.AssetsDefinition:
    """Return the asset over a channel x date grid."""

    @dg.asset(
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[raw_messages],
        group_name="2_load",
        kinds={"python", "polars", "postgres"},
        owners=["team:crm"],
        description=described("crm_messages"),
        metadata={
            "dagster/table_name": "public.messages",
            **column_schema(messages),
            **column_lineage(raw_messages.key, channel_directory.key),
        },
    )
    def crm_messages(
        context: dg.AssetExecutionContext, config: LoadConfig, pipeline: Pipeline
    ) -> dg.MaterializeResult[None]:
        """Load the days of each channel, and say what became of each day's rows."""
        today = pipeline.now().date()
        by_day: dict[tuple[str, date], dict[str, int]] = {}
        filtered: Counter[str] = Counter()
        quarantined: Counter[str] = Counter()
        for span in spans(context.partition_keys):
            limit = config.max_per_chat or 0
            with pipeline.importing(
                span.channel,
                context.run.run_id,
                span.days,
                last_step=True,
                requeue=may_queue_again(context.run.tags),
                wish=last_days(span.days[0], today, limit=limit, partial=config.partial),
            ) as importer:
                for window in importer.load_days(
                    span.days,
                    max_per_chat=config.max_per_chat,
                    partial=config.partial,
                    force=config.force,
                ):
                    filtered += window.filtered_reasons
                    quarantined += window.quarantine_reasons
                    by_day.update({(span.channel, day): c for day, c in window.by_day.items()})
        for (channel, day), counts in by_day.items():
            rows = counts["seen"] - counts["filtered"] - counts["duplicate"] - counts["quarantined"]
            shown = {**row_count(rows), **{name: counts[name] for name in COUNTS}}
            context.add_asset_metadata(shown, partition_key=partition_key(channel, day))
        # Metadata of a result is stored with each of its partitions: a year would hold 365 tables
        # of 365 lines. So the tables of the whole run stand with its last day only.
        if by_day:
            context.add_asset_metadata(
                {
                    "balance": balance_table(by_day),
                    "not_in_the_crm": reasons_table(filtered, quarantined),
                },
                partition_key=partition_key(*max(by_day, key=lambda key: (key[1], key[0]))),
            )
        return dg.MaterializeResult()

    return crm_messages
