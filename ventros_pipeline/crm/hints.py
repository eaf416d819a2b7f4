"""What WAHA's webhooks said has happened, kept until the next pass of the channel.

What belongs here: storing a hint once. What does not: what an event is (`waha/events.py`), and what
a pass does about it.

A hint names a message and never holds any of it. Losing one changes nothing but the moment at which
its day is read.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.engine import Engine

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_channel
from ventros_pipeline.waha.events import Event


def store(engine: Engine, channel: Channel, event: Event, now: datetime) -> bool:
    """Keep what an event says; return whether it was news."""
    values = {
        "channel_id": channel.id,
        "event_id": event.id,
        "event": event.name,
        "stanza_id": event.stanza_id,
        "message_at": event.message_at,
        "received_at": now,
    }
    with of_channel(engine, channel).begin() as connection:
        stored = connection.exec_driver_sql(read_sql("hints/insert_hint.sql"), values)
        return stored.first() is not None
