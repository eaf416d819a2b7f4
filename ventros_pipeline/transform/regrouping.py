"""From who people are by the contacts that hold their addresses to who they are by evidence.

What belongs here: which addresses leave a contact, and which contacts become one. What does not:
who people are (`identity.py`), and moving their rows (`crm/merging.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Holder:
    """A contact, as far as it matters to who keeps a person.

    Attributes:
        anchor: the address that the contact was first known by; it stays when others leave.
        is_ours: whether the pipeline made it. The CRM's own contacts are never absorbed by ours.
        has_phone: whether it carries a phone number.
    """

    contact_id: str
    anchor: str | None
    is_ours: bool
    has_phone: bool
    created_at: datetime


@dataclass(frozen=True)
class Split:
    """Addresses that leave a contact: `addresses` of `giver` belong to `person`."""

    giver: str
    addresses: frozenset[str]
    person: frozenset[str]


@dataclass(frozen=True)
class Merge:
    """A contact that is absorbed: all its addresses go to `keeper`."""

    keeper: str
    absorbed: str
    person: frozenset[str]


@dataclass(frozen=True)
class Regrouping:
    """What has to move. Splits come first, each to a contact of its person or to a new one.

    Attributes:
        grown: persons with an address that no contact holds yet, by the contact that takes it.
    """

    splits: tuple[Split, ...]
    merges: tuple[Merge, ...]
    grown: Mapping[str, frozenset[str]]

    @property
    def is_empty(self) -> bool:
        """Whether contacts and people agree."""
        return not (self.splits or self.merges or self.grown)


def regroup(
    current: Mapping[str, str],
    people: Mapping[str, frozenset[str]],
    holders: Mapping[str, Holder],
) -> Regrouping:
    """Compare contacts with people.

    Args:
        current: the contact that holds each known address.
        people: the person of each known address, from `identity.people_of`. A person none of whose
            addresses is known is nobody the CRM has to know.
        holders: every contact in `current`.
    """
    held: dict[str, list[str]] = {}
    for address in sorted(current):
        held.setdefault(current[address], []).append(address)
    stays = {
        contact: people[_anchor(holders[contact], addresses)] for contact, addresses in held.items()
    }
    leaving: dict[tuple[str, frozenset[str]], set[str]] = {}
    for address, contact in current.items():
        if people[address] != stays[contact]:
            leaving.setdefault((contact, people[address]), set()).add(address)
    keepers: dict[frozenset[str], list[Holder]] = {}
    for contact, person in stays.items():
        keepers.setdefault(person, []).append(holders[contact])
    merges: list[Merge] = []
    grown: dict[str, frozenset[str]] = {}
    for person, found in keepers.items():
        keeper, *others = sorted(found, key=_worth)
        merges += (Merge(keeper.contact_id, other.contact_id, person) for other in others)
        if not person <= current.keys():
            grown[keeper.contact_id] = person
    return Regrouping(
        tuple(
            Split(giver, frozenset(addresses), person)
            for (giver, person), addresses in sorted(leaving.items(), key=_first_address)
        ),
        tuple(sorted(merges, key=lambda merge: (merge.keeper, merge.absorbed))),
        grown,
    )


def _anchor(holder: Holder, addresses: list[str]) -> str:
    """Return the address that keeps a contact: its anchor while it holds it, else the lowest."""
    return holder.anchor if holder.anchor in addresses else addresses[0]


def _worth(holder: Holder) -> tuple[bool, bool, datetime, str]:
    """Order who keeps a person: a contact of the CRM, then one with a phone, then the oldest."""
    return (holder.is_ours, not holder.has_phone, holder.created_at, holder.contact_id)


def _first_address(item: tuple[tuple[str, frozenset[str]], set[str]]) -> tuple[str, str]:
    (giver, _), addresses = item
    return giver, min(addresses)
