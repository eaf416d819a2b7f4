"""What is shown beside assets and checks: counts, tables, schemas. Never text, phones or keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import sqlalchemy as sa

from ventros_pipeline.crm.ledger import COUNTS
from ventros_pipeline.report import Report
from ventros_pipeline.report.markdown import markdown_of
from ventros_pipeline.report.verdict import INCOMPLETE, verdict_of
from ventros_pipeline.report.words import Words
from ventros_pipeline.transform.scoring import score


def row_count(rows: int) -> dict[str, int]:
    """Return the metadata that Dagster plots over partitions."""
    return {"dagster/partition_row_count": rows}


def balance_table(by_day: Mapping[tuple[str, date], Mapping[str, Any]]) -> dg.MetadataValue:  # type: ignore[type-arg]
    """Return the balance of each channel and day that held anything."""
    columns = [
        dg.TableColumn("channel", "string"),
        dg.TableColumn("day", "date"),
        *(dg.TableColumn(name, "int") for name in COUNTS),
    ]
    records = [
        dg.TableRecord({"channel": channel, "day": str(day), **{n: counts[n] for n in COUNTS}})
        for (channel, day), counts in sorted(by_day.items())
        if counts["seen"]
    ]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))


def reasons_table(filtered: Mapping[str, int], quarantined: Mapping[str, int]) -> dg.MetadataValue:  # type: ignore[type-arg]
    """Return why rows are not in the CRM: left out on purpose, or kept in quarantine."""
    rows = [("filtered", *item) for item in sorted(filtered.items())]
    rows += [("quarantined", *item) for item in sorted(quarantined.items())]
    columns = ("outcome", "reason", "rows")
    return sample_table([dict(zip(columns, row, strict=True)) for row in rows])


def report_metadata(report: Report) -> dict[str, Any]:
    """Return what `import_report` shows of a channel, and of the rules of who is who."""
    verdict, words = verdict_of(report), Words()
    # Of the rules, not of a channel: whom they would join if they were asked today.
    rules = score()
    days = Counter(found.state for found in report.days if found.day < report.today)
    return {
        "verdict": verdict.sentence(words),
        "next_command": verdict.next_command or "",
        "report": dg.MetadataValue.md(f"{markdown_of(report, words)}\n\n{rules.sentence}"),
        "complete": int(verdict.state != INCOMPLETE),
        "messages": report.overview["messages"],
        "people": report.overview["people"],
        "sessions": report.overview["sessions"],
        "quarantined": report.balance["quarantined"],
        "balance_closes": report.closes,
        "days_missing": len(report.missing),
        **{f"days_{state}": days[state] for state in ("settling", "settled", "exhausted")},
        "identity_precision": rules.precision,
        "identity_recall": rules.recall,
        "identity_pairs": rules.pairs,
    }


def sample_table(rows: Sequence[Mapping[str, Any]]) -> dg.MetadataValue:  # type: ignore[type-arg]
    """Return rows of equal shape as a table; an empty list is a table without columns."""
    names = list(rows[0]) if rows else []
    return dg.MetadataValue.table(
        [dg.TableRecord({name: _plain(row[name]) for name in names}) for row in rows],
        schema=dg.TableSchema([dg.TableColumn(name) for name in names]),
    )


def column_schema(table: sa.Table) -> dict[str, dg.MetadataValue]:  # type: ignore[type-arg]
    """Return a CRM table's columns for the asset's page."""
    return {
        "dagster/column_schema": dg.MetadataValue.table_schema(
            dg.TableSchema(
                [
                    dg.TableColumn(
                        column.name,
                        str(column.type).lower(),
                        constraints=dg.TableColumnConstraints(
                            nullable=bool(column.nullable), unique=column.primary_key
                        ),
                    )
                    for column in table.columns
                ]
            )
        )
    }


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float) else str(value)
