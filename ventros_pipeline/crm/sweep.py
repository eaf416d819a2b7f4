"""LIDs that are still people without a number: which to ask WAHA about, and when each was asked.

What belongs here: the queue. What does not: asking (`waha/client.py`), and what follows from an
answer (`merging.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.engine import Engine

from ventros_pipeline.crm.channels import Channel, list_channels
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_channel


def next_lids(engine: Engine, channel: Channel, *, limit: int) -> list[str]:
    """Return LIDs of people without a number that the channel has met, longest unasked first."""
    with of_channel(engine, channel).connect() as connection:
        rows = connection.exec_driver_sql(
            read_sql("sweep/select_unresolved_lids.sql"),
            {"channel_id": channel.id, "project_id": channel.project_id, "max_lids": limit},
        )
        return list(rows.scalars())


def mark_asked(engine: Engine, channel: Channel, lids: Sequence[str], asked_at: datetime) -> None:
    """Put LIDs to the end of the queue, whatever the answer was."""
    with of_channel(engine, channel).begin() as connection:
        connection.exec_driver_sql(
            read_sql("sweep/save_lookups.sql"),
            {"channel_id": channel.id, "lids": list(lids), "asked_at": asked_at},
        )


def channels_to_sweep(engine: Engine) -> list[Channel]:
    """Return the channels that have met people without a number."""
    return [channel for channel in list_channels(engine) if next_lids(engine, channel, limit=1)]
