"""Who is who: people are the connected sets of addresses that evidence joins.

What belongs here: the rules. What does not: where evidence is stored (`crm/identities.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

PHONE_SUFFIX = "@c.us"


def people_of(evidence: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    """Join addresses into people.

    Args:
        evidence: pairs (LID, phone address) that some source calls one person, best source first.

    Returns:
        For every address in the evidence, all addresses of its person. A pair that would join two
        phone numbers is left out: one LID under two phones is a contradiction, and joining two
        customers into one is worse than leaving one person in two.
    """
    people: dict[str, set[str]] = {}
    for lid, phone in evidence:
        left = people.setdefault(lid, {lid})
        right = people.setdefault(phone, {phone})
        if left is right or (_phones(left) and _phones(right)):
            continue
        left |= right
        for address in right:
            people[address] = left
    return {address: frozenset(person) for address, person in people.items()}


def canonical(address: str, people: Mapping[str, frozenset[str]]) -> str:
    """Return the address that stands for a person: its phone if known, else its lowest LID."""
    person = people.get(address)
    if person is None:
        return address
    return min(_phones(person) or person)


def phone_of(address: str) -> str | None:
    """Return a phone address's number in E.164 (`+` and digits); null for any other address.

    A LID is never a phone number, however much its digits look like one.
    """
    digits = address.removesuffix(PHONE_SUFFIX)
    return f"+{digits}" if address.endswith(PHONE_SUFFIX) and digits.isdecimal() else None


def _phones(person: Iterable[str]) -> list[str]:
    return [address for address in person if address.endswith(PHONE_SUFFIX)]
