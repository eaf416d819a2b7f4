"""The proofs: what must hold of a channel in the CRM, each as one question to the database.

What belongs here: the questions and how their answers read. What does not: when they are asked
(`checks/`), and the archive, which a caller hands in where a proof compares with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from sqlalchemy.engine import Engine

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.sql import read_sql

SAMPLE = 20


@dataclass(frozen=True)
class Finding:
    """What one proof found in one channel.

    Attributes:
        found: how many violations there are in all.
        sample: at most `SAMPLE` of them, by ids and counts; no text, no phone number.
    """

    channel: str
    found: int
    sample: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Proof:
    """One thing that must hold.

    Attributes:
        name: the asset check's name.
        promise: what holds, as a sentence.
        repair: what to do when it does not.
        statement: SQL file whose rows are violations, the first column their number in all.
    """

    name: str
    promise: str
    repair: str
    statement: str


# A load without it looks only at rows that WAHA has changed.
_AGAIN = "Materialise crm_messages of these days again with `force: true`"

PROOFS = (
    Proof(
        "no_message_twice_by_key",
        "No message key has two rows in the CRM.",
        "Look at the two rows; remove the one that history_sync.message_keys does not name.",
        "check/repeated_keys.sql",
    ),
    Proof(
        "no_message_twice_by_person",
        "No stanza id occurs twice with one person or group, whatever the address.",
        "The two rows stand under two addresses of one person: look at history_sync.identities.",
        "check/repeated_stanzas.sql",
    ),
    Proof(
        "balance_closes",
        "Every row that WAHA gave is inserted, updated, unchanged, duplicate, filtered or "
        "quarantined.",
        f"{_AGAIN}; if it stays open, a row is lost between archive and CRM.",
        "check/open_balances.sql",
    ),
    Proof(
        "keys_match_rows",
        "Message keys and CRM rows agree one to one.",
        f"{_AGAIN}: rows without a key are adopted.",
        "check/loose_keys.sql",
    ),
    Proof(
        "no_orphan_message",
        "Every imported message has a chat, a contact, a session, an agent, all of its tenant.",
        f"Give the channel a default agent that exists. {_AGAIN}.",
        "check/orphans.sql",
    ),
)
TIMES_KEPT = Proof(
    "original_times_kept",
    "Every message has the time that WAHA said.",
    f"{_AGAIN}; the archive holds the original times.",
    "check/stored_times.sql",
)


def prove(
    engine: Engine,
    channel: Channel,
    proof: Proof,
    run_id: str | None = None,
    days: Sequence[date] | None = None,
) -> Finding:
    """Ask one question of one channel.

    Args:
        run_id: whose balance is looked at; None for the newest one of every day.
        days: whose messages are looked at, so that it costs what they hold; None for all.
    """
    values: dict[str, object] = {"days": None, "since": None, "until": None}
    if days is not None:
        values = {
            "days": list(days),
            "since": datetime.combine(min(days), time.min, UTC),
            "until": datetime.combine(max(days), time.max, UTC),
        }
    rows = _ask(engine, channel, proof.statement, run_id=run_id, **values)
    sample = [{name: row[name] for name in row if name != "found"} for row in rows]
    return Finding(channel.key, int(rows[0]["found"]) if rows else 0, sample)


def prove_times(
    engine: Engine, channel: Channel, days: Sequence[date], said: Mapping[str, int]
) -> Finding:
    """Compare the CRM's times with the archive's.

    Args:
        days: the days that `said` covers.
        said: by WAHA id, the earliest time in the archive, epoch seconds.

    An edit moves WAHA's own timestamp, so an edited message may stand earlier than this day's
    archive says, but never later.
    """
    rows = _ask(engine, channel, TIMES_KEPT.statement, days=list(days))
    wrong = [
        {"waha_time": said[waha_id], "stored_time": stored}
        for waha_id, stored, edited in (tuple(row.values()) for row in rows)
        if waha_id in said and stored != said[waha_id] and not (edited and stored < said[waha_id])
    ]
    return Finding(channel.key, len(wrong), wrong[:SAMPLE])


def _ask(
    engine: Engine, channel: Channel, statement: str, **values: object
) -> list[Mapping[str, Any]]:
    known = {"channel_id": channel.id, "project_id": channel.project_id, **values}
    with engine.connect() as connection:
        result = connection.exec_driver_sql(read_sql(statement), known)
        return [dict(row) for row in result.mappings()]
