"""What became of each message's media file: wanted, stored, expired, refused.

What belongs here: the states. What does not: asking WAHA (`waha/media.py`) and the files themselves
(`media_store.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.engine import Engine

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_channel

State = Literal["wanted", "stored", "expired", "refused"]
# Runs in which a file may fail to come before it is given up.
ATTEMPTS = 5


@dataclass(frozen=True)
class Wanted:
    """A file to fetch.

    Attributes:
        message_id: the CRM's id of the message.
        address: WAHA's chat address.
        waha_id: WAHA's id of the message.
        kind: the CRM's content type.
        attempts: how often it failed to come.
        declared_bytes: size that the message states, null when it states none.
    """

    message_id: str
    address: str
    waha_id: str
    kind: str
    attempts: int
    declared_bytes: int | None


@dataclass(frozen=True)
class Outcome:
    """What became of one file; `reason` is machine-readable, null when there is none to give."""

    state: State
    reason: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    mimetype: str | None = None


def want(engine: Engine, channel: Channel, kinds: Sequence[str]) -> int:
    """Mark the files of all loaded messages of these kinds as wanted; return how many are new."""
    with of_channel(engine, channel).begin() as connection:
        return connection.exec_driver_sql(
            read_sql("media/want_media.sql"), {"channel_id": channel.id, "kinds": list(kinds)}
        ).rowcount


def next_wanted(
    engine: Engine, channel: Channel, kinds: Sequence[str], *, limit: int
) -> list[Wanted]:
    """Return the next files to fetch, newest messages first; those that failed before come last.

    Args:
        engine: of the migrated database.
        channel: whose messages.
        kinds: content types.
        limit: most files.
    """
    values = {"channel_id": channel.id, "kinds": list(kinds), "limit": limit}
    with of_channel(engine, channel).connect() as connection:
        result = connection.exec_driver_sql(read_sql("media/next_media.sql"), values)
        return [Wanted(**row) for row in result.mappings()]


def settle(engine: Engine, channel: Channel, wanted: Wanted, outcome: Outcome) -> Outcome:
    """Write down what became of a file, and return it.

    A file that stays wanted and has failed to come `ATTEMPTS` times is expired.
    """
    if outcome.state == "wanted" and wanted.attempts + 1 >= ATTEMPTS:
        outcome = Outcome("expired", outcome.reason)
    values = {"message_id": wanted.message_id, **vars(outcome)}
    with of_channel(engine, channel).begin() as connection:
        connection.exec_driver_sql(read_sql("media/settle_media.sql"), values)
    return outcome


def counts(engine: Engine, channel: Channel) -> list[dict[str, Any]]:
    """Return files by state and reason: state, reason, files, bytes."""
    with of_channel(engine, channel).connect() as connection:
        result = connection.exec_driver_sql(
            read_sql("media/count_media.sql"), {"channel_id": channel.id}
        )
        return [dict(row) for row in result.mappings()]
