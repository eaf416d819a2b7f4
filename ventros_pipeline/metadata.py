"""What is shown beside assets and checks: counts, tables, schemas. Never text, phones or keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import polars as pl
import sqlalchemy as sa

from ventros_pipeline.crm.ledger import COUNTS
from ventros_pipeline.report import Report
from ventros_pipeline.report.markdown import markdown_of
from ventros_pipeline.report.verdict import INCOMPLETE, verdict_of
from ventros_pipeline.report.words import Words
from ventros_pipeline.transform.scoring import score

DIRECTORY = pl.Schema(
    {
        "address": pl.String(),
        "has_chat": pl.Boolean(),
        "book_name": pl.String(),
        "push_name": pl.String(),
        "subject": pl.String(),
        "members": pl.String(),
    }
)
MEANINGS = {
    "id": "Follows from the message's key: an import into an empty CRM gives the same ids.",
    "tenant_id": "The channel's.",
    "timestamp": "When WhatsApp says it was sent, UTC.",
    "user_id": "The owner of the channel's project.",
    "project_id": "The channel's.",
    "channel_type_id": "WAHA's.",
    "from_me": "Whether we sent it.",
    "channel_id": "The channel.",
    "chat_id": "The conversation: one for all addresses of a person.",
    "contact_id": "The person who wrote or was written to; a group's own for what we sent to it.",
    "session_id": "The session, cut by the channel's own timeout.",
    "content_type": "One of the CRM's ten kinds; what is none of them is `system`.",
    "text": "Its text, or the caption of its file.",
    "media_url": "Where WAHA has its file.",
    "media_mimetype": "The type of its file.",
    "channel_message_id": "WAHA's id as it was first seen.",
    "reply_to_id": "The message that it answers, where that is in the CRM.",
    "status": "The highest status that any ack told; only of what we sent.",
    "language": "Not known from history.",
    "agent_id": "The channel's agent.",
    "source": "`history_import`, or what the CRM wrote itself.",
    "metadata": "Its raw kind and details, and what is doubtful about its time.",
    "mentions": "Who is mentioned in it.",
    "delivered_at": "Not known from history.",
    "read_at": "Not known from history.",
    "played_at": "Not known from history.",
    "created_at": "When the row was written.",
    "updated_at": "When the row was last changed.",
    "deleted_at": "When it was revoked.",
    "address": "A hidden id (LID), a number or a group.",
    "has_chat": "Whether WAHA lists a chat with it.",
    "book_name": "Its name in the address book.",
    "push_name": "What it calls itself.",
    "subject": "A group's name.",
    "members": "Who stands in a group, as JSON.",
    "row_key": "WAHA's name of the row (chat and id); versions of one row share it.",
    "payload": "The message as JSON, as WAHA returned it, without keys, secrets and thumbnails.",
    "seen_at": "The newest reading that showed the row after one that had not.",
    "missed_at": "The first complete reading since then that did not show it.",
    "gone_at": "The second one: the message was revoked.",
    "doubted_at": "A reading that missed so much that it says nothing of this row.",
}
# Where a column of the archive has another meaning than the CRM's of the same name.
ARCHIVED = {"read_at": "When WAHA said so."}
# Columns of an imported message, by what decides them.
SAID_BY_WAHA = (
    *("timestamp", "from_me", "content_type", "text", "media_url", "media_mimetype"),
    *("channel_message_id", "reply_to_id", "status", "metadata", "mentions"),
)
PLACED_BY_ADDRESS = ("chat_id", "contact_id", "session_id")


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


def column_schema(table: sa.Table | pl.Schema) -> dict[str, dg.MetadataValue]:  # type: ignore[type-arg]
    """Return the columns of a CRM table, or of a frame, for the asset's page."""
    columns = (
        [
            dg.TableColumn(name, str(kind), description=ARCHIVED.get(name) or MEANINGS.get(name))
            for name, kind in table.items()
        ]
        if isinstance(table, pl.Schema)
        else [
            dg.TableColumn(
                column.name,
                str(column.type).lower(),
                description=MEANINGS.get(column.name),
                constraints=dg.TableColumnConstraints(
                    nullable=bool(column.nullable), unique=column.primary_key
                ),
            )
            for column in table.columns
        ]
    )
    return {"dagster/column_schema": dg.MetadataValue.table_schema(dg.TableSchema(columns))}


def column_lineage(archive: dg.AssetKey, directory: dg.AssetKey) -> dict[str, dg.MetadataValue]:  # type: ignore[type-arg]
    """Return what an imported row's columns come from; all others are the channel's own.

    A row is decoded from what WAHA said of it, which is one column of the archive. The person and
    the chat follow from the directory's addresses, too.
    """
    of = {
        **{column: [(archive, "payload")] for column in SAID_BY_WAHA},
        **{column: [(archive, "payload"), (directory, "address")] for column in PLACED_BY_ADDRESS},
        "deleted_at": [(archive, "payload"), (archive, "gone_at")],
    }
    return {
        "dagster/column_lineage": dg.MetadataValue.column_lineage(
            dg.TableColumnLineage(
                {
                    column: [dg.TableColumnDep(asset, source) for asset, source in sources]
                    for column, sources in of.items()
                }
            )
        )
    }


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float) else str(value)
