"""Who a WhatsApp address is in the CRM: contacts and chats by address, and the evidence behind it.

What belongs here: the state. The rules stand in `transform/identity.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl
from psycopg import Cursor

from ventros_pipeline.crm import changes
from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.copying import copy_frame
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tombstones import read_tombstones
from ventros_pipeline.transform import identity, ids, phones
from ventros_pipeline.transform.conversations import GROUP_SUFFIX
from ventros_pipeline.transform.identity import Evidence

# How good a name is: the phone's address book (or a group's subject), what people call themselves,
# the phone number as people write it, the bare address.
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


def save_evidence(cursor: Cursor[Any], channel: Channel, evidence: Sequence[Evidence]) -> int:
    """Remember evidence, but none of people who were erased.

    Returns:
        How much of it nobody had said before.
    """
    tombstones = read_tombstones(cursor, channel.project_id)
    evidence = [found for found in evidence if not tombstones.covers_any((found.one, found.other))]
    cursor.execute(
        read_sql("load/save_evidence.sql"),
        {
            "project_id": channel.project_id,
            "channel_id": channel.id,
            "ones": [found.one for found in evidence],
            "others": [found.other for found in evidence],
            "sources": [found.source for found in evidence],
            "seen_at": [found.seen_at for found in evidence],
        },
    )
    return sum(is_new for (is_new,) in cursor.fetchall())


def people_of(
    cursor: Cursor[Any], channel: Channel, addresses: Iterable[str]
) -> dict[str, frozenset[str]]:
    """Return the person of each address, and of each that evidence names, in the channel's project.

    Args:
        addresses: those that matter besides the ones in evidence.
    """
    project = {"project_id": channel.project_id}
    cursor.execute(read_sql("load/select_separations.sql"), project)
    separated = cursor.fetchall()
    cursor.execute(read_sql("load/select_evidence.sql"), project)
    evidence = [Evidence(*row) for row in cursor.fetchall()]
    return identity.people_of(addresses, evidence, separated)


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
    name_people(cursor, channel, people, wanted)
    created = store_people(cursor, channel, people, run_id)
    lines = [
        (address, person.contact_id, person.chat_id)
        for person in people
        for address in sorted(person.addresses)
    ]
    frame = pl.DataFrame(lines, schema=PEOPLE_SCHEMA, orient="row")
    return frame.join(wanted.select("address").unique(), on="address", how="semi"), created


def _identify(cursor: Cursor[Any], channel: Channel, wanted: pl.DataFrame) -> list[Person]:
    """Group the wanted addresses into persons, each with the id it has or will have."""
    addresses = set(wanted["address"])
    # A number may be known in another spelling, which then belongs to the same person.
    spelled = {other for address in addresses for other in _spellings(address)}
    addresses |= _known(cursor, channel, spelled).keys()
    sets = people_of(cursor, channel, addresses)
    persons = {sets[address] for address in addresses}
    known = _known(cursor, channel, {address for person in persons for address in person})
    by_canonical = {identity.canonical(min(person), sets): person for person in persons}
    by_phone = contacts_by_phone(cursor, channel, by_canonical)
    with_chat = set(wanted.filter("has_chat")["address"])
    people: dict[str, Person] = {}
    for canonical, members in sorted(by_canonical.items()):
        anchors = [known[a][0] for a in (canonical, *sorted(members)) if a in known]
        anchor = (
            anchors[0]
            if anchors
            else by_phone.get(canonical) or ids.contact_id(str(channel.project_id), canonical)
        )
        for address in sorted(members):
            # An address that has a contact keeps it, whatever evidence came since: moving it is a
            # merge (`merging.py`), and a merge moves its messages, too.
            contact, chat = known.get(address, (anchor, None))
            standing = canonical if contact == anchor else address
            person = people.setdefault(contact, Person(contact, standing, set()))
            person.addresses.add(address)
            person.has_chat = person.has_chat or address in with_chat
            person.chat_id = person.chat_id or chat
    _find_chats(cursor, channel, [p for p in people.values() if p.has_chat and not p.chat_id])
    _open_chats(cursor, channel, [p for p in people.values() if p.has_chat and not p.chat_id])
    return list(people.values())


def _find_chats(cursor: Cursor[Any], channel: Channel, people: Sequence[Person]) -> None:
    """Give people the conversation that the CRM has with them already."""
    if not people:
        return  # It looks at every conversation of the project.
    groups = [p.canonical if p.canonical.endswith(GROUP_SUFFIX) else None for p in people]
    contacts = [person.contact_id for person in people]
    cursor.execute(
        read_sql("load/find_chats.sql"),
        {"project_id": channel.project_id, "contacts": contacts, "groups": groups},
    )
    found: dict[str, str] = dict(cursor.fetchall())
    for person in people:
        person.chat_id = found.get(person.contact_id)


def _open_chats(cursor: Cursor[Any], channel: Channel, people: Sequence[Person]) -> None:
    """Give people a conversation of their own.

    The one by their address may have stayed with a contact that this address has left.
    """
    project = str(channel.project_id)
    wanted = {person.contact_id: ids.chat_id(project, person.canonical) for person in people}
    cursor.execute(read_sql("identity/taken_chats.sql"), {"chats": list(wanted.values())})
    taken = {chat for (chat,) in cursor.fetchall()}
    for person in people:
        chat = wanted[person.contact_id]
        person.chat_id = ids.chat_id(project, person.contact_id) if chat in taken else chat


def _spellings(address: str) -> list[str]:
    """Return other addresses that are the same person by their looks alone."""
    digits = address.removesuffix(phones.PHONE_SUFFIX)
    if phones.is_suspected_lid(address):
        return [f"{digits}{identity.LID_SUFFIX}"]
    if address.endswith(identity.LID_SUFFIX):
        return [f"{address.removesuffix(identity.LID_SUFFIX)}{phones.PHONE_SUFFIX}"]
    phone = phones.phone_of(address)
    return (
        [f"{other[1:]}{phones.PHONE_SUFFIX}" for other in phones.candidates(phone)] if phone else []
    )


def _known(
    cursor: Cursor[Any], channel: Channel, addresses: Iterable[str]
) -> dict[str, tuple[str, str | None]]:
    """Return the contact and chat of those addresses that have one."""
    cursor.execute(
        read_sql("load/select_identities.sql"),
        {"project_id": channel.project_id, "addresses": list(addresses)},
    )
    return {address: (contact, chat) for address, contact, chat in cursor.fetchall()}


def contacts_by_phone(
    cursor: Cursor[Any], channel: Channel, people: Mapping[str, frozenset[str]]
) -> dict[str, str]:
    """Return the CRM's own contacts by the person whose number they carry, in any spelling.

    Args:
        people: addresses by the name that the result goes by, such as the canonical address.
    """
    wanted = {name: _numbers(addresses) for name, addresses in people.items()}
    cursor.execute(
        read_sql("load/select_contacts_by_phone.sql"),
        {
            "project_id": channel.project_id,
            "phones": sorted(
                {n for found in wanted.values() for n in (*found, *(f"+{n}" for n in found))}
            ),
        },
    )
    carried: dict[str, str] = dict(cursor.fetchall())
    return {
        name: carried[found[0]]
        for name, numbers in wanted.items()
        if (found := [number for number in numbers if number in carried])
    }


def _numbers(addresses: Iterable[str]) -> list[str]:
    """Return the digits of all spellings of a person's numbers, the ones WhatsApp uses first."""
    own = [phone for address in sorted(addresses) if (phone := phones.phone_of(address))]
    others = [other for phone in own for other in phones.candidates(phone)]
    return list(dict.fromkeys(number[1:] for number in (*own, *others)))


def name_people(
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
    # A name that never changes must not depend on which day comes first: then only lists count.
    counts = pl.lit(channel.contact_names != "never")
    pushed = wanted.filter(
        counts, pl.col("push_name").is_not_null(), pl.col("push_at").is_not_null()
    )
    for address, text, at in pushed.select("address", "push_name", "push_at").iter_rows():
        names.setdefault(address, []).append(Name(PUSH, at, text))
    for person in people:
        found = [name for address in person.addresses for name in names.get(address, [])]
        person.names = sorted(found, key=lambda name: (name.rank, name.at, name.text))


def store_people(cursor: Cursor[Any], channel: Channel, people: list[Person], run_id: str) -> int:
    """Make what is missing of persons and complete what is there; return the contacts made."""
    staged = [_staged(person) for person in people]
    copy_frame(cursor, pl.DataFrame(staged, infer_schema_length=None), "staged_people")
    changes.hold_people(cursor, channel, run_id)
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
        "pipeline_id": channel.pipeline_id,
        "contact_names": channel.contact_names,
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
        "save_custom_fields",
        "enter_pipeline",
    ):
        cursor.execute(read_sql(f"load/{statement}.sql"), values)
    return created


def _staged(person: Person) -> dict[str, Any]:
    phone = phones.phone_of(person.canonical)
    bare = Name(
        BARE_PHONE if phone else BARE,
        datetime.min.replace(tzinfo=UTC),
        phones.formatted(phone) if phone else person.canonical.partition("@")[0],
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
