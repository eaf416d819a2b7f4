"""What WAHA lists of an account now: chats, contacts, LID table and groups, in one shape.

What belongs here: the four engines' shapes of those lists. What does not: who is whom
(`transform/identity.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ventros_pipeline.waha.client import WahaClient
from ventros_pipeline.waha.ids import AddressKind, kind_of, normalise


@dataclass
class Entry:
    """What the lists say of one address.

    Attributes:
        book_name: name in the phone's address book.
        push_name: what the person calls itself.
        subject: a group's title.
        members: who stands in a group, and whether as an admin; null when no list says.
    """

    address: str
    has_chat: bool = False
    book_name: str | None = None
    push_name: str | None = None
    subject: str | None = None
    members: dict[str, bool] | None = None


@dataclass
class Directory:
    """The lists, read once.

    Attributes:
        entries: by address.
        pairs: (LID, phone address, source) that some list calls one person.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    pairs: set[tuple[str, str, str]] = field(default_factory=set)

    def entry(self, address: str) -> Entry:
        """Return the entry of an address, a new one if there is none."""
        return self.entries.setdefault(address, Entry(address))

    def pair(self, left: object, right: object, source: str) -> None:
        """Remember that two addresses are one person, if one is a LID and the other a phone."""
        addresses = {kind_of(a): a for a in (address_of(left), address_of(right)) if a}
        lid, phone = addresses.get(AddressKind.LID), addresses.get(AddressKind.PERSON)
        if lid and phone:
            self.pairs.add((lid, phone, source))


def read_directory(client: WahaClient) -> Directory:
    """Read all four lists of a session.

    Raises:
        WahaError: a list cannot be read; a failed read is never an empty list.
    """
    directory = Directory()
    for row in client.lids():
        directory.pair(row.get("lid"), row.get("pn"), "lids")
    for row in client.contacts():
        _add_contact(directory, row)
    for row in client.groups():
        _add_group(directory, row)
    for row in client.chats():
        if address := address_of(row.get("id")):
            entry = directory.entry(address)
            entry.has_chat = True
            if kind_of(address) is AddressKind.GROUP:
                entry.subject = entry.subject or _text(row.get("name"))
            else:
                entry.book_name = entry.book_name or _text(row.get("name"))
            directory.pair(row.get("id"), row.get("lidJid"), "contacts")
            directory.pair(row.get("id"), row.get("pnJid"), "contacts")
    return directory


def address_of(value: object) -> str | None:
    """Return the normal form of an id that is text, or WEBJS's object (`_serialized`, `$1`)."""
    if isinstance(value, Mapping):
        value = (
            value.get("_serialized")
            or value.get("$1")
            or f"{value.get('user', '')}@{value.get('server', '')}"
        )
    return normalise(value) if isinstance(value, str) and value.strip("@ ") else None


def _add_contact(directory: Directory, row: Mapping[str, Any]) -> None:
    address = address_of(row.get("id"))
    if address is None:
        return
    entry = directory.entry(address)
    if kind_of(address) is AddressKind.GROUP:
        entry.subject = entry.subject or _text(row.get("name"))
        return
    entry.book_name = _text(row.get("name")) or entry.book_name
    entry.push_name = _text(row.get("pushname")) or entry.push_name
    directory.pair(address, row.get("lid"), "contacts")
    directory.pair(address, row.get("phoneNumber"), "contacts")


def _add_group(directory: Directory, row: Mapping[str, Any]) -> None:
    address = address_of(row.get("id") or row.get("JID"))
    if address is None:
        return
    subject = row.get("subject") or row.get("Name") or row.get("name")
    entry = directory.entry(address)
    entry.subject = _text(subject)
    for member in _members(row):
        if name := address_of(member.get("id") or member.get("JID")):
            entry.members = {**(entry.members or {}), name: _is_admin(member)}
        for other in ("lid", "phoneNumber", "pn", "LID", "PhoneNumber", "jid"):
            directory.pair(member.get("id") or member.get("JID"), member.get(other), "groups")


def _members(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    metadata = row.get("groupMetadata")
    holder = metadata if isinstance(metadata, Mapping) else row
    members = holder.get("participants") or holder.get("Participants") or []
    return (member for member in members if isinstance(member, Mapping))


def _is_admin(member: Mapping[str, Any]) -> bool:
    """Read `admin` (NOWEB: null, `admin`, `superadmin`) or the other engines' flags."""
    flags = ("isAdmin", "isSuperAdmin", "IsAdmin", "IsSuperAdmin")
    return _text(member.get("admin")) is not None or any(member.get(f) is True for f in flags)


def _text(value: object) -> str | None:
    return value.strip() or None if isinstance(value, str) else None
