"""Profile pictures of contacts: who has none, and what was found.

What belongs here: the queue. What does not: asking (`waha/client.py`); the picture itself is never
fetched, for the CRM shows it from where it is.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.engine import Engine

from ventros_pipeline.crm.channels import Channel, list_channels
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_channel


def next_contacts(engine: Engine, channel: Channel, *, limit: int) -> list[tuple[str, str]]:
    """Return contacts without a picture and the address to ask for, longest unasked first."""
    with of_channel(engine, channel).connect() as connection:
        rows = connection.exec_driver_sql(
            read_sql("avatars/next_contacts.sql"),
            {
                "channel_id": channel.id,
                "project_id": channel.project_id,
                "max_contacts": limit,
            },
        )
        return [(contact, address) for contact, address in rows]


def channels_to_ask(engine: Engine) -> list[Channel]:
    """Return the channels that have met contacts without a picture."""
    return [channel for channel in list_channels(engine) if next_contacts(engine, channel, limit=1)]


def save_avatar(
    engine: Engine,
    channel: Channel,
    contact_id: str,
    url: str | None,
    fetched_at: datetime,
    run_id: str,
) -> None:
    """Store where a contact's picture is, or only that it was asked for."""
    with of_channel(engine, channel).begin() as connection:
        connection.exec_driver_sql(
            read_sql("avatars/save_avatar.sql"),
            {
                "channel_id": channel.id,
                "contact_id": contact_id,
                "url": url,
                "fetched_at": fetched_at,
                "run_id": run_id,
            },
        )
