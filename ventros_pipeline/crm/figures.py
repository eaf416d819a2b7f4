"""The figures of a channel's report, each of them one aggregate query (`sql/report/`).

What belongs here: counting what stands in the CRM. What does not: what the figures mean
(`report/`), and the ledger of runs and balances (`ledger.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Engine

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_channel
from ventros_pipeline.transform.identity import SOURCES

# What says that the addresses of a person are one person's, the most trustworthy first.
EVIDENCE = (*SOURCES, "looks", "number_only", "lid_only", "other")
SESSION_SIZES = ("1", "2-5", "6-20", "21-100", "101+")


def count_messages(engine: Engine, channel: Channel) -> dict[str, dict[str, int]]:
    """Return messages by value within `day` (ISO), `kind`, `direction` and `status`, most first."""
    counts: dict[str, dict[str, int]] = {}
    for row in _rows(of_channel(engine, channel), "count_messages", channel_id=channel.id):
        counts.setdefault(row["what"], {})[row["value"]] = row["messages"]
    return counts


def count_people(engine: Engine, channel: Channel) -> dict[str, int]:
    """Return people by the evidence for who they are, in the order of `EVIDENCE`."""
    values = {"channel_id": channel.id, "project_id": channel.project_id}
    rows = _rows(of_channel(engine, channel), "count_people", sources=list(SOURCES), **values)
    found = {row["evidence"]: row["people"] for row in rows}
    return {name: found[name] for name in EVIDENCE if name in found}


def count_sessions(engine: Engine, channel: Channel) -> dict[str, int]:
    """Return sessions by how many messages they hold, in the order of `SESSION_SIZES`."""
    rows = _rows(of_channel(engine, channel), "count_sessions", channel_id=channel.id)
    found = {row["size"]: row["sessions"] for row in rows}
    return {size: found[size] for size in SESSION_SIZES if size in found}


def list_runs(engine: Engine, channel: Channel, import_id: UUID) -> list[dict[str, Any]]:
    """Return the runs of an import, oldest first."""
    return _rows(
        of_channel(engine, channel), "list_runs", channel_id=channel.id, import_id=import_id
    )


def _rows(served: Engine, statement: str, **values: object) -> list[dict[str, Any]]:
    known: Mapping[str, Any] = values
    with served.connect() as connection:
        result = connection.exec_driver_sql(read_sql(f"report/{statement}.sql"), dict(known))
        return [dict(row) for row in result.mappings()]
