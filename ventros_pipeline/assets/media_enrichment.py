"""`media_enrichment`: requests to the CRM to enrich imported media, within a budget."""

from typing import Any

import dagster as dg
from pydantic import Field, field_validator

from ventros_pipeline.assets import described
from ventros_pipeline.crm.enrichment import Estimate, Order, enrich, estimate
from ventros_pipeline.failures import explained
from ventros_pipeline.metadata import sample_table
from ventros_pipeline.partitions import CHANNEL, channel_partitions
from ventros_pipeline.resources import Pipeline
from ventros_pipeline.settings import Settings
from ventros_pipeline.transform.enrichment import CONTEXTS, DEFAULT_CONTEXT, KINDS


class EnrichmentConfig(dg.Config):
    """What is asked for, and how much of it."""

    dry_run: bool = Field(
        default=True, description="Only say how many messages it would be and what they cost."
    )
    kinds: list[str] = Field(
        default=[],
        description=f"Content types, of {', '.join(KINDS)}; none: those that the channel has on, "
        "and where it says nothing all but video. What the channel has off stays off.",
    )
    context: str = Field(
        default=DEFAULT_CONTEXT, description=f"What images are read for: {', '.join(CONTEXTS)}."
    )
    outgoing: bool = Field(default=False, description="Media that we sent ourselves, too.")
    max_messages: int | None = Field(
        default=100, ge=1, description="Most messages of each channel in one run, newest first."
    )
    max_usd: float | None = Field(
        default=1.0,
        ge=0,
        description="Most USD of each channel in one run; what has no known price is left out. "
        "null: no limit, and what has no known price is asked for, too.",
    )

    @field_validator("kinds")
    @classmethod
    def _known_kinds(cls, kinds: list[str]) -> list[str]:
        if not set(kinds) <= set(KINDS):
            raise ValueError(f"kinds must be some of {', '.join(KINDS)}")
        return kinds

    @field_validator("context")
    @classmethod
    def _known_context(cls, context: str) -> str:
        if context not in CONTEXTS:
            raise ValueError(f"context must be one of {', '.join(CONTEXTS)}")
        return context

    def order(self, settings: Settings) -> Order:
        """Return it with the prices and addresses of this installation."""
        return Order(
            prices=settings.enrichment_prices,
            media_url=settings.media_url,
            kinds=self.kinds,
            context=self.context,
            outgoing=self.outgoing,
            max_messages=self.max_messages,
            max_usd=self.max_usd,
        )


def media_enrichment_asset(crm_messages: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """Return the asset downstream of the loaded messages and their files."""

    @dg.asset(
        partitions_def=channel_partitions,
        deps=[
            dg.AssetDep(
                crm_messages,
                partition_mapping=dg.MultiToSingleDimensionPartitionMapping(CHANNEL),
            ),
            "message_media",
        ],
        group_name="2_load",
        kinds={"python", "postgres"},
        owners=["team:crm"],
        description=described("media_enrichment"),
    )
    def media_enrichment(
        context: dg.AssetExecutionContext, config: EnrichmentConfig, pipeline: Pipeline
    ) -> dg.MaterializeResult[None]:
        """Count what each channel would cost, or ask for it, and say so."""
        order = config.order(pipeline.settings)
        for key in context.partition_keys:
            found = _materialize(pipeline, key, context.run.run_id, order, dry_run=config.dry_run)
            figures = {"dry_run": config.dry_run, **_figures(key, found)}
            context.add_asset_metadata(figures, partition_key=key)
        return dg.MaterializeResult()

    return media_enrichment


def _materialize(
    pipeline: Pipeline, key: str, run_id: str, order: Order, *, dry_run: bool
) -> Estimate:
    today = [pipeline.now().date()]
    if not dry_run:
        with pipeline.importing(key, run_id, today, last_step=True, wait=None) as importer:
            return enrich(importer.engine, importer.channel, order, run_id)
    try:
        return estimate(pipeline.engine, pipeline.channel(key), order)
    except Exception as error:  # noqa: BLE001 -- raised again, in words without row contents
        raise explained(error, key, today) from None


def _figures(key: str, found: Estimate) -> dict[str, Any]:
    names = ("messages", "usd", "price_unknown", "possible_messages", "possible_usd")
    lines = [{"channel": key, **line} for line in found.lines]
    notes = [{"channel": key, "note": note} for note in found.notes]
    return {
        **{name: getattr(found, name) for name in names},
        "lines": sample_table(lines),
        "notes": sample_table(notes),
    }
