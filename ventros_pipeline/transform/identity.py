"""Who is who: people are the sets of addresses that a person's word, looks and evidence join.

What belongs here: the rules. What does not: what an address says by its looks (`phones.py`), where
evidence is stored (`crm/identities.py`), and what moves when a person changes
(`regrouping.py`, `crm/merging.py`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ventros_pipeline.transform import phones

LID_SUFFIX = "@lid"
# Stands for a contact of the CRM that WhatsApp does not know, when a person joins it with another.
CONTACT_SUFFIX = "@contact"

# Who says that two addresses are one person, the most trustworthy first.
OPERATOR = "operator"
CRM = "crm"
SOURCES = (
    OPERATOR,  # a person said so
    "lids",  # WAHA's table of LIDs
    "contacts",  # the contacts of the session
    "groups",  # participants of groups
    "messages",  # the `…Alt` fields of a message
    "stanzas",  # one incoming stanza id, seen under both addresses
    CRM,  # a contact of the CRM carries the number
)
_RANKS = {source: rank for rank, source in enumerate(SOURCES)}

_LID = re.compile(r"[1-9]\d*@lid", re.ASCII)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Somebody's word that two addresses are one person.

    Attributes:
        source: one of `SOURCES`.
        seen_at: when it was said last, with a time zone.
    """

    one: str
    other: str
    source: str
    seen_at: datetime


def people_of(
    addresses: Iterable[str],
    evidence: Iterable[Evidence],
    separated: Collection[tuple[str, str]] = (),
) -> dict[str, frozenset[str]]:
    """Join addresses into people, in the same way in whatever order things are given.

    First comes what a person said, then what is certain by looks (one line in two spellings, a LID
    under `@c.us`), then all other evidence: the better source first, of one source the newer. What
    contradicts something that came before is left out, so a LID that two phones claim belongs to
    the better and newer claim. Joining two customers into one is worse than leaving one in two.

    Args:
        addresses: normalised; those that matter besides the ones in evidence.
        evidence: in any order, with repetitions.
        separated: pairs (unordered) that a person took apart; nothing joins them again.

    Returns:
        For every address given, also those in evidence, all addresses of its person.

    Raises:
        KeyError: a source is not in `SOURCES`.
    """
    ranked = sorted(evidence, key=_rank)
    named = (address for found in ranked for address in (found.one, found.other))
    everybody = {*addresses, *named}
    operator = [found for found in ranked if found.source == OPERATOR]
    apart = _by_address(separated)
    joined: dict[str, frozenset[str]] = {}
    for found in operator:
        _join(joined, apart, found.one, found.other, by_operator=True)
    for one, other in _alike(everybody):
        _join(joined, apart, one, other)
    for found in ranked[len(operator) :]:
        _join(joined, apart, found.one, found.other)
    return {address: joined.get(address) or frozenset((address,)) for address in everybody}


def canonical(address: str, people: Mapping[str, frozenset[str]]) -> str:
    """Return the address that stands for a person.

    That is its phone if known (the lowest, where there are several), else its lowest LID; LID
    digits under `@c.us` stand for a person only where nothing else does.
    """
    return min(people.get(address, (address,)), key=_standing)


def _standing(address: str) -> tuple[bool, bool, str]:
    return (phones.phone_of(address) is None, not address.endswith(LID_SUFFIX), address)


def _rank(found: Evidence) -> tuple[int, float, str, str]:
    low, high = sorted((found.one, found.other))
    return (_RANKS[found.source], -found.seen_at.timestamp(), low, high)


def _is_joinable(address: str) -> bool:
    """Return whether an address can be one of several of a person.

    A group is nobody's other address. Neither is what is no address of a person at all: whatever
    joined `0@c.us` would join everybody who was ever seen beside it.
    """
    return (
        _LID.fullmatch(address) is not None
        or address.endswith(CONTACT_SUFFIX)
        or phones.phone_of(address) is not None
        or phones.is_suspected_lid(address)
    )


def _by_address(separated: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    apart: dict[str, set[str]] = {}
    for one, other in separated:
        apart.setdefault(one, set()).add(other)
        apart.setdefault(other, set()).add(one)
    return apart


def _alike(addresses: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs that are one person by looks, in a fixed order."""
    named: dict[str, list[str]] = {}
    for address in addresses:
        name = phones.line_of(address)
        if name is None and phones.is_suspected_lid(address):
            name = address.removesuffix(phones.PHONE_SUFFIX) + LID_SUFFIX
        elif name is None and _LID.fullmatch(address):
            name = address
        if name is not None:
            named.setdefault(name, []).append(address)
    return sorted(
        (min(found), other) for found in named.values() for other in found if other != min(found)
    )


def _join(
    joined: dict[str, frozenset[str]],
    apart: Mapping[str, set[str]],
    one: str,
    other: str,
    *,
    by_operator: bool = False,
) -> None:
    """Make one person of two in `joined` (people with several addresses), unless a law forbids it.

    A person with phones of several lines has them by an operator's word. They are one customer, so
    another phone that comes along needs to match only one of them.
    """
    left = joined.get(one) or frozenset((one,))
    right = joined.get(other) or frozenset((other,))
    if other in left or not (_is_joinable(one) and _is_joinable(other)):
        return
    if not by_operator and _are_strangers(left, right):
        return
    if apart and any(not right.isdisjoint(apart.get(address, ())) for address in left):
        return
    person = left | right
    for address in person:
        joined[address] = person


def _are_strangers(left: frozenset[str], right: frozenset[str]) -> bool:
    """Return whether both sides have a phone, and none of the one may be a line of the other."""
    lines = {stem for address in left if (stem := phones.stem_of(address))}
    others = {stem for address in right if (stem := phones.stem_of(address))}
    return bool(lines and others) and lines.isdisjoint(others)
