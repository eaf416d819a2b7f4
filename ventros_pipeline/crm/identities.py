"""Who a WhatsApp address is in the CRM: contacts and chats by address, and the evidence behind it.

What belongs here: the state. The rules stand in `transform/identity.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl
from psycopg import Cursor

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.copying import copy_frame
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.transform import identity, ids
from ventros_pipeline.transform.conversations import GROUP_SUFFIX

# How good a name is: the phone's address book (or a group's subject), what people call themselves,
# the bare phone number, the bare address.
BOOK, PUSH, BARE_PHONE, BARE = 3, 2, 1, 0

WANTED_SCHEMA = pl.Schema(
    {
        "address": pl.String(),
        "has_chat": pl.Boolean(),
        "push_name": pl.String(),
        "push_at": pl.Datetime("us", "UTC"),
    }
)
PEOPLE_SCHEMA = pl.Schema(
    {"address": pl.String(), "contact_id": pl.String(), "chat_id": pl.String()}
)


@dataclass(frozen=True)
class Name:
    """A name with the source and time that rank it."""

    rank: int
    at: datetime
    text: str


@dataclass
class Person:
    """One contact of a window, with all its addresses that the window or the evidence names."""

    contact_id: str
    canonical: str
    addresses: set[str]
    chat_id: str | None = None
    has_chat: bool = False
    names: list[Name] | None = None


def save_evidence(
    cursor: Cursor[Any], channel: Channel, pairs: Sequence[tuple[str, str, str]]
) -> None:
    """Remember (LID, phone address, source) pairs; one that is known is left as it is."""
    cursor.execute(
        read_sql("load/save_evidence.sql"),
        {
            "project_id": channel.project_id,
            "channel_id": channel.id,
            "lids": [lid for lid, _, _ in pairs],
            "phones": [phone for _, phone, _ in pairs],
            "sources": [source for _, _, source in pairs],
        },
    )


def resolve_people(
    cursor: Cursor[Any], channel: Channel, wanted: pl.DataFrame, run_id: str
) -> tuple[pl.DataFrame, int]:
    """Return the contact and chat of each wanted address, making those that do not exist.

    Args:
        cursor: inside the load's transaction, under the channel's lock, staging tables made.
        channel: whose project the contacts belong to.
        wanted: `WANTED_SCHEMA`; an address may come several times, with several push names.
        run_id: who makes them.

    Returns:
        `PEOPLE_SCHEMA` for every wanted address (chat_id is null where there is no chat), and how
        many contacts were made.
    """
    people = _identify(cursor, channel, wanted)
    _name(cursor, channel, people, wanted)
    created = _store(cursor, channel, people, run_id)
    lines = [
        (address, person.contact_id, person.chat_id)
        for person in people
        for address in sorted(person.addresses)
    ]
    frame = pl.DataFrame(lines, schema=PEOPLE_SCHEMA, orient="row")
    return frame.join(wanted.select("address").unique(), on="address", how="semi"), created


def _identify(cursor: Cursor[Any], channel: Channel, wanted: pl.DataFrame) -> list[Person]:
    """Group the wanted addresses into persons, each with the id it has or will have."""
    cursor.execute(read_sql("load/select_evidence.sql"), {"project_id": channel.project_id})
    sets = identity.people_of(cursor.fetchall())
    groups: dict[str, set[str]] = {}
    for address in wanted["address"].unique().sort():
        canonical = identity.canonical(address, sets)
        groups.setdefault(canonical, set()).update(sets.get(address, {address}))
    known = _known(cursor, channel, groups)
    by_phone = _contacts_by_phone(cursor, channel, groups)
    with_chat = set(wanted.filter("has_chat")["address"])
    people: dict[str, Person] = {}
    for canonical, addresses in groups.items():
        anchors = [known[a][0] for a in (canonical, *sorted(addresses)) if a in known]
        anchor = (
            anchors[0]
            if anchors
            else by_phone.get(canonical) or ids.contact_id(str(channel.project_id), canonical)
        )
        for address in sorted(addresses):
            # An address that has a contact keeps it, whatever evidence came since: moving it is a
            # merge, and a merge moves its messages, too.
            contact, chat = known.get(address, (anchor, None))
            standing = canonical if contact == anchor else address
            person = people.setdefault(contact, Person(contact, standing, set()))
            person.addresses.add(address)
            person.has_chat = person.has_chat or address in with_chat
            person.chat_id = person.chat_id or chat
    for person in people.values():
        if person.has_chat and person.chat_id is None:
            person.chat_id = ids.chat_id(str(channel.project_id), person.canonical)
    return list(people.values())


def _known(
    cursor: Cursor[Any], channel: Channel, groups: dict[str, set[str]]
) -> dict[str, tuple[str, str | None]]:
    addresses = [address for members in groups.values() for address in members]
    cursor.execute(
        read_sql("load/select_identities.sql"),
        {"project_id": channel.project_id, "addresses": addresses},
    )
    return {address: (contact, chat) for address, contact, chat in cursor.fetchall()}


def _contacts_by_phone(
    cursor: Cursor[Any], channel: Channel, groups: dict[str, set[str]]
) -> dict[str, str]:
    """Return the CRM's own contacts by the canonical address whose number they carry."""
    phones = {identity.phone_of(address): address for address in groups}
    phones.pop(None, None)
    numbers = [number for phone in phones if phone for number in (phone, phone[1:])]
    cursor.execute(
        read_sql("load/select_contacts_by_phone.sql"),
        {"project_id": channel.project_id, "phones": numbers},
    )
    return {phones[f"+{digits}"]: contact for digits, contact in cursor.fetchall()}


def _name(
    cursor: Cursor[Any], channel: Channel, people: list[Person], wanted: pl.DataFrame
) -> None:
    """Give each person the names known of it, best last."""
    names: dict[str, list[Name]] = {}
    cursor.execute(
        read_sql("load/select_directory.sql"),
        {
            "channel_id": channel.id,
            "addresses": [address for person in people for address in person.addresses],
        },
    )
    for address, book, push, subject, listed_at in cursor.fetchall():
        for rank, text in ((BOOK, subject or book), (PUSH, push)):
            if text:
                names.setdefault(address, []).append(Name(rank, listed_at, text))
    pushed = wanted.filter(pl.col("push_name").is_not_null(), pl.col("push_at").is_not_null())
    for address, text, at in pushed.select("address", "push_name", "push_at").iter_rows():
        names.setdefault(address, []).append(Name(PUSH, at, text))
    for person in people:
        found = [name for address in person.addresses for name in names.get(address, [])]
        person.names = sorted(found, key=lambda name: (name.rank, name.at, name.text))


def _store(cursor: Cursor[Any], channel: Channel, people: list[Person], run_id: str) -> int:
    staged = [_staged(person) for person in people]
    copy_frame(cursor, pl.DataFrame(staged, infer_schema_length=None), "staged_people")
    lines = [
        (address, person.contact_id) for person in people for address in sorted(person.addresses)
    ]
    copy_frame(
        cursor,
        pl.DataFrame(lines, schema=["address", "contact_id"], orient="row"),
        "staged_identities",
    )
    values = {
        "project_id": channel.project_id,
        "tenant_id": channel.tenant_id,
        "run_id": run_id,
    }
    cursor.execute(read_sql("load/insert_contacts.sql"), values)
    created = cursor.rowcount
    for statement in (
        "insert_people",
        "insert_identities",
        "insert_chats",
        "link_chats",
        "complete_contacts",
        "rename_contacts",
    ):
        cursor.execute(read_sql(f"load/{statement}.sql"), values)
    return created


def _staged(person: Person) -> dict[str, Any]:
    phone = identity.phone_of(person.canonical)
    bare = Name(
        BARE_PHONE if phone else BARE,
        datetime.min.replace(tzinfo=UTC),
        phone or person.canonical.partition("@")[0],
    )
    best = person.names[-1] if person.names else bare
    return {
        "contact_id": person.contact_id,
        "chat_id": person.chat_id,
        "is_group": person.canonical.endswith(GROUP_SUFFIX),
        "external_id": person.canonical,
        "phone": phone,
        "name": best.text,
        "name_rank": best.rank,
        "name_at": "-infinity" if best is bare else best.at.isoformat(),
    }
