"""`import_report`: whether everything is there, in figures."""

import dagster as dg

from ventros_pipeline.partitions import CHANNEL, channel_partitions
from ventros_pipeline.report import report_of
from ventros_pipeline.resources import Pipeline
from ventros_pipeline.transform.scoring import score


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
    )
    def import_report(
        context: dg.AssetExecutionContext, pipeline: Pipeline
    ) -> dg.MaterializeResult[None]:
        """Balance, coverage, kinds, statuses and people of a channel, as it stands in the CRM."""
        reports = [
            report_of(pipeline.engine, pipeline.channel(key)) for key in context.partition_keys
        ]
        pages = (f"### {r.channel}\n\n{r.as_markdown()}" for r in reports)
        # Of the rules, not of a channel: whom they would join if they were asked today.
        rules = score()
        return dg.MaterializeResult(
            metadata={
                "report": dg.MetadataValue.md("\n\n".join([*pages, rules.sentence])),
                "messages": sum(r.overview["messages"] for r in reports),
                "people": sum(r.overview["people"] for r in reports),
                "balance_closes": all(r.closes for r in reports),
                "identity_precision": rules.precision,
                "identity_recall": rules.recall,
                "identity_pairs": rules.pairs,
            }
        )

    return import_report
