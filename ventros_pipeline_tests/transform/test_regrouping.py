"""Contacts come to hold exactly the addresses of a person, and nobody is split without need."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ventros_pipeline.transform.regrouping import Holder, Merge, Split, regroup

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
ADDRESSES = [f"{n}@lid" for n in range(8)]


def holder(contact: str, *, anchor: str | None = None, ours: bool = True, age: int = 0) -> Holder:
    return Holder(contact, anchor, ours, has_phone=False, created_at=BEGUN - timedelta(days=age))


def people(*sets: str) -> dict[str, frozenset[str]]:
    """Return a partition: each argument names the numbers of one person's addresses."""
    found = [frozenset(f"{n}@lid" for n in numbers) for numbers in sets]
    return {address: person for person in found for address in person}


def test_contacts_that_are_what_is_known_of_people_are_left_alone() -> None:
    current = {"0@lid": "a", "1@lid": "a", "2@lid": "b"}
    holders = {name: holder(name) for name in "ab"}
    assert regroup(current, people("01", "2"), holders).is_empty


def test_the_crms_own_contact_keeps_a_person_then_the_oldest() -> None:
    current = {"0@lid": "a", "1@lid": "b", "2@lid": "c"}
    holders = {
        "a": holder("a", age=9),
        "b": holder("b", ours=False),
        "c": holder("c", age=10),
    }
    found = regroup(current, people("012"), holders)
    assert found.merges == (
        Merge("b", "a", frozenset(current)),
        Merge("b", "c", frozenset(current)),
    )


def test_the_anchor_keeps_a_contact_that_is_taken_apart() -> None:
    current = {"0@lid": "a", "1@lid": "a"}
    found = regroup(current, people("0", "1"), {"a": holder("a", anchor="1@lid")})
    assert found.splits == (Split("a", frozenset(["0@lid"]), frozenset(["0@lid"])),)
    assert found.merges == ()


def test_an_address_that_nobody_holds_yet_goes_to_the_one_who_keeps_the_person() -> None:
    found = regroup({"0@lid": "a"}, people("01"), {"a": holder("a")})
    assert found.grown == {"a": frozenset(["0@lid", "1@lid"])}


@given(
    owners=st.dictionaries(st.sampled_from(ADDRESSES), st.sampled_from("abcd"), min_size=1),
    parts=st.lists(st.integers(0, 3), min_size=8, max_size=8),
    data=st.data(),
)
def test_after_the_splits_and_the_merges_every_person_has_one_contact(
    owners: dict[str, str], parts: list[int], data: st.DataObject
) -> None:
    groups = {
        part: frozenset(a for a, p in zip(ADDRESSES, parts, strict=True) if p == part)
        for part in parts
    }
    wanted = {address: groups[part] for address, part in zip(ADDRESSES, parts, strict=True)}
    holders = {
        contact: holder(
            contact,
            anchor=data.draw(st.sampled_from([None, *ADDRESSES])),
            ours=data.draw(st.booleans()),
        )
        for contact in set(owners.values())
    }
    current = dict(owners)
    for _ in range(3):
        plan = regroup(current, wanted, holders)
        for split in plan.splits:
            taker = f"new-{min(split.person)}"
            holders[taker] = holder(taker, anchor=min(split.addresses))
            current |= dict.fromkeys(split.addresses, taker)
        if not plan.splits:
            moved = {merge.absorbed: merge.keeper for merge in plan.merges}
            current = {address: moved.get(contact, contact) for address, contact in current.items()}
            for contact, person in plan.grown.items():
                current |= dict.fromkeys(person - current.keys(), contact)
    assert regroup(current, wanted, holders).is_empty
    by_person = {(wanted[address], contact) for address, contact in current.items()}
    assert len(by_person) == len({person for person, _ in by_person})
    assert len(by_person) == len({contact for _, contact in by_person})
    # A contact of the CRM is absorbed only by another one of the CRM.
    for merge in plan.merges:
        assert holders[merge.absorbed].is_ours or not holders[merge.keeper].is_ours
