"""Chats by the CRM's ids and by WAHA's: a run names them by the CRM's.

What belongs here: finding one by the other. What does not: making chats (`identities.py`). WAHA's
id of a chat is a phone number, and the configuration of a run is shown in the UI and kept for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.engine import Engine

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_channel


class ChatError(Exception):
    """A chat is not there; the message says how to find it, and names no number."""


def chats_of(engine: Engine, channel: Channel, addresses: Sequence[str]) -> dict[str, UUID]:
    """Return the CRM's chats of normalised addresses; those without one are not in it."""
    values = {"project_id": channel.project_id, "addresses": list(addresses)}
    with of_channel(engine, channel).connect() as connection:
        rows = connection.exec_driver_sql(read_sql("chats/select_chats.sql"), values)
        return {row.address: row.chat_id for row in rows}


def addresses_of(engine: Engine, channel: Channel, chats: Sequence[str]) -> list[str]:
    """Return every address under which WAHA may show some chats.

    Args:
        chats: ids of the CRM's chats.

    Raises:
        ChatError: one is no chat of the channel's project that an import has seen.
    """
    try:
        asked = {UUID(chat) for chat in chats}
    except ValueError:
        raise ChatError(
            "a chat is named by its id in the CRM (`public.chats.id`), not by a number"
        ) from None
    values = {"project_id": channel.project_id, "chats": sorted(map(str, asked))}
    with of_channel(engine, channel).connect() as connection:
        rows = connection.exec_driver_sql(read_sql("chats/select_addresses.sql"), values).all()
    if unknown := asked - {chat for chat, _ in rows}:
        raise ChatError(
            f"{len(unknown)} chats are none of this channel's project, or no import has seen them "
            f"yet, such as {min(map(str, unknown))}; `ventros import --chat` takes WAHA's ids"
        )
    return [address for _, address in rows]
