"""Addresses are joined by evidence, in any order, and never by looks."""

from __future__ import annotations

import pytest

from ventros_pipeline.transform.identity import canonical, people_of, phone_of

ANA, BIA = "5511980000001@c.us", "5511980000002@c.us"
LID, OTHER_LID = "210000000000001@lid", "210000000000002@lid"


@pytest.mark.parametrize(
    ("address", "phone"),
    [
        (ANA, "+5511980000001"),
        (LID, None),
        ("5511980000001@lid", None),
        ("120363000000000001@g.us", None),
        ("abc@c.us", None),
        ("@c.us", None),
        ("5511980000001", None),
    ],
)
def test_a_phone_number_comes_from_a_phone_address_and_from_nothing_else(
    address: str, phone: str | None
) -> None:
    assert phone_of(address) == phone


def test_evidence_joins_addresses_and_the_phone_stands_for_them() -> None:
    people = people_of([(LID, ANA), (OTHER_LID, ANA)])
    assert people[LID] == people[ANA] == people[OTHER_LID] == {ANA, LID, OTHER_LID}
    assert canonical(OTHER_LID, people) == ANA


def test_a_lid_under_two_phones_is_a_contradiction_and_joins_nobody() -> None:
    people = people_of([(LID, ANA), (LID, BIA)])
    assert people[ANA] == {ANA, LID}
    assert people[BIA] == {BIA}


def test_the_same_evidence_twice_changes_nothing() -> None:
    assert people_of([(LID, ANA), (LID, ANA)]) == people_of([(LID, ANA)])


def test_an_address_without_evidence_stands_for_itself() -> None:
    assert canonical(LID, people_of([(OTHER_LID, ANA)])) == LID


def test_brazilian_numbers_that_differ_by_the_ninth_digit_are_not_joined_by_looks() -> None:
    people = people_of([])
    assert canonical("551180000001@c.us", people) != canonical("5511980000001@c.us", people)
