"""The proofs: what must hold of a channel in the CRM, each as one question to the database.

What belongs here: the questions and how their answers read. What does not: when they are asked
(`checks/`), and the archive, which a caller hands in where a proof compares with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from shlex import quote
from typing import Any

from sqlalchemy.engine import Engine

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_channel

SAMPLE = 20


@dataclass(frozen=True)
class Finding:
    """What one proof found in one channel.

    Attributes:
        found: how many violations there are in all.
        sample: at most `SAMPLE` of them, by ids and counts; no text, no phone number.
        from_day, to_day: the first and the last day of them all; null where nothing was found.
    """

    channel: str
    found: int
    sample: Sequence[Mapping[str, Any]] = ()
    from_day: date | None = None
    to_day: date | None = None

    @property
    def where(self) -> str:
        """The channel and the days, in words."""
        days = "" if self.from_day is None else f", {self.from_day}"
        if self.from_day != self.to_day:
            days += f" to {self.to_day}"
        return f"channel {self.channel}{days}"

    @staticmethod
    def joined(findings: Sequence[Finding]) -> Finding:
        """Return what one proof found in several parts of one channel."""
        sample = [row for finding in findings for row in finding.sample]
        return Finding(
            findings[0].channel,
            sum(finding.found for finding in findings),
            sample[:SAMPLE],
            min((f.from_day for f in findings if f.from_day), default=None),
            max((f.to_day for f in findings if f.to_day), default=None),
        )


@dataclass(frozen=True)
class Proof:
    """One thing that must hold.

    Attributes:
        name: the asset check's name.
        promise: what holds, as a sentence.
        wrong: what is so where it does not.
        command: what repairs it, with the places of the channel and its days.
        advice: what else a person should know, as a sentence.
        statement: SQL file whose rows are violations: how many there are in all, the first and the
            last day of all, and one of them.
    """

    name: str
    promise: str
    wrong: str
    command: str
    advice: str
    statement: str

    def repair(self, finding: Finding) -> str:
        """Return the command that repairs a finding."""
        return self.command.format(
            channel=quote(finding.channel), first=finding.from_day, last=finding.to_day
        )

    def told(self, finding: Finding) -> str:
        """Say what is wrong, how often, where, and what repairs it."""
        return (
            f"{finding.found:,} times on {finding.where}: {self.wrong} "
            f"Repair: `{self.repair(finding)}`. {self.advice}"
        )


# A load without it looks only at rows that WAHA has changed.
_AGAIN = "ventros import {channel} --since {first} --until {last} --force"
_BY_HAND = "In the UI: materialise crm_messages of these days with `force: true`."

ONE_TENANT = Proof(
    "one_tenant",
    "Channel, contact, session, chat, agent and message are of one project and one tenant.",
    "A row that belongs to the channel is of another project or tenant.",
    "ventros doctor {channel}",
    "It names the rows; whose they are is for a person to say, and nothing moves them by itself.",
    "check/tenants.sql",
)
PROOFS = (
    Proof(
        "no_message_twice_by_key",
        "No message key has two rows in the CRM.",
        "One WAHA id names two rows of the CRM.",
        "ventros doctor {channel}",
        "It names both rows, and which of them history_sync.message_keys does not know.",
        "check/repeated_keys.sql",
    ),
    Proof(
        "no_message_twice_by_person",
        "No stanza id occurs twice with one person or group, whatever the address.",
        "One message stands twice, under two ids or two addresses of one person.",
        "ventros doctor {channel}",
        "It names both rows, and which of them may go.",
        "check/repeated_stanzas.sql",
    ),
    Proof(
        "balance_closes",
        "Every row that WAHA gave is inserted, updated, unchanged, duplicate, filtered or "
        "quarantined.",
        "The balance of a day does not close: rows that WAHA gave are unaccounted for.",
        _AGAIN,
        f"{_BY_HAND} If it stays open, a row is lost between archive and CRM.",
        "check/open_balances.sql",
    ),
    Proof(
        "keys_match_rows",
        "Message keys and CRM rows agree one to one.",
        "A key and its row do not agree, or one of them is missing.",
        _AGAIN,
        f"{_BY_HAND} Rows without a key are adopted.",
        "check/loose_keys.sql",
    ),
    Proof(
        "no_orphan_message",
        "Every imported message has a chat, a contact, a session and an agent.",
        "An imported message lacks what the sample says.",
        _AGAIN,
        f"{_BY_HAND} Where an agent is missing, first give the channel one that exists.",
        "check/orphans.sql",
    ),
    ONE_TENANT,
)
TIMES_KEPT = Proof(
    "original_times_kept",
    "Every message has the time that WAHA said.",
    "A message has another time than WAHA said.",
    _AGAIN,
    f"{_BY_HAND} The archive holds the original times.",
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
    if not rows:
        return Finding(channel.key, 0)
    whole = ("found", "from_day", "to_day")
    sample = [{name: row[name] for name in row if name not in whole} for row in rows]
    found, first, last = (rows[0][name] for name in whole)
    return Finding(channel.key, int(found), sample, first, last)


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
        {
            "day": row["day"],
            "message_id": row["message_id"],
            "waha_time": said[row["waha_id"]],
            "stored_time": row["stored"],
        }
        for row in rows
        if row["waha_id"] in said and _moved(said[row["waha_id"]], row)
    ]
    found = sorted(row["day"] for row in wrong)
    ends = (found[0], found[-1]) if found else (None, None)
    return Finding(channel.key, len(wrong), wrong[:SAMPLE], *ends)


def _moved(said: int, row: Mapping[str, Any]) -> bool:
    return bool(row["stored"] > said or (row["stored"] < said and not row["edited"]))


def _ask(
    engine: Engine, channel: Channel, statement: str, **values: object
) -> list[Mapping[str, Any]]:
    known = {"channel_id": channel.id, "project_id": channel.project_id, **values}
    with of_channel(engine, channel).connect() as connection:
        result = connection.exec_driver_sql(read_sql(statement), known)
        return [dict(row) for row in result.mappings()]
