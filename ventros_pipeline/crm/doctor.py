"""What a person should look at in the CRM, and what to do about it. Nothing here changes a row.

What belongs here: the complaints that a channel's data gives rise to, each with a plan. What does
not: the proofs that every import must pass (`checks.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Engine

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.merging import unsettled
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.transform import phones

SAMPLE = 20


@dataclass(frozen=True)
class Complaint:
    """One thing that was found.

    Attributes:
        name: machine-readable.
        says: what is wrong, as a sentence, without text or phone number.
        found: how often.
        plan: what to do: for the first `SAMPLE` cases a line each, then how to go on.
        needs_a_person: false for what a later import or a schedule mends by itself.
    """

    name: str
    says: str
    found: int
    plan: Sequence[str]
    needs_a_person: bool = True


def examine(engine: Engine, channel: Channel) -> list[Complaint]:
    """Look for what imports leave to a person, in a channel and its project."""
    complaints = (
        _messages_twice(engine, channel),
        _contacts_twice(engine, channel),
        _contested(engine, channel),
        _apart(engine, channel),
        _unresolved(engine, channel),
    )
    return [complaint for complaint in complaints if complaint.found]


def _messages_twice(engine: Engine, channel: Channel) -> Complaint:
    found = [list(row[0]) for row in _ask(engine, channel, "repeated_messages")]
    return Complaint(
        "message_twice",
        "One message stands in several rows of the CRM.",
        len(found),
        [
            f"keep message {kept}, delete {', '.join(copies)} in the CRM"
            for kept, *copies in found[:SAMPLE]
        ],
    )


def _contacts_twice(engine: Engine, channel: Channel) -> Complaint:
    lines: dict[str, list[str]] = {}
    for contact, phone in _ask(engine, channel, "list_phones"):
        if line := phones.line_of(f"{phone.lstrip('+')}{phones.PHONE_SUFFIX}"):
            lines.setdefault(line, []).append(contact)
    found = [contacts for contacts in lines.values() if len(contacts) > 1]
    return Complaint(
        "contact_twice",
        "Several contacts carry one telephone number, perhaps in two spellings.",
        len(found),
        [line for contacts in found[:SAMPLE] for line in _joins(channel, contacts)],
    )


def _joins(channel: Channel, contacts: Sequence[str]) -> Iterator[str]:
    first, *others = contacts
    return (f"ventros people merge {channel.key} {first} {other}" for other in others)


def _contested(engine: Engine, channel: Channel) -> Complaint:
    found = [str(contact) for (contact,) in _ask(engine, channel, "contested_lids")]
    return Complaint(
        "lid_with_two_numbers",
        "WhatsApp has named two numbers for one LID; the better and newer word holds.",
        len(found),
        [
            f"look at contact {contact}; if it holds two people, take them apart with `ventros "
            f"people unmerge {channel.key} MERGE`"
            for contact in found[:SAMPLE]
        ],
    )


def _apart(engine: Engine, channel: Channel) -> Complaint:
    plan = unsettled(engine, channel)
    return Complaint(
        "people_not_settled",
        "Contacts are not yet what is known of their people.",
        len(plan.merges) + len(plan.splits) + len(plan.grown),
        [f"import any day of the channel: ventros import {channel.key} --since 1d"],
        needs_a_person=False,
    )


def _unresolved(engine: Engine, channel: Channel) -> Complaint:
    return Complaint(
        "lid_without_number",
        "WhatsApp has not said whose these LIDs are; they are contacts without a number.",
        len(_ask(engine, channel, "unresolved_lids")),
        ["turn on the schedule identity_sweep in the Dagster UI: it asks again every hour"],
        needs_a_person=False,
    )


def _ask(engine: Engine, channel: Channel, question: str) -> Sequence[Any]:
    known = {"channel_id": channel.id, "project_id": channel.project_id}
    with engine.connect() as connection:
        return connection.exec_driver_sql(read_sql(f"doctor/{question}.sql"), known).fetchall()
