"""Addresses are joined by a person's word, certain looks and evidence, in any order."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ventros_pipeline.transform import phones
from ventros_pipeline.transform.identity import OPERATOR, SOURCES, Evidence, canonical, people_of

ANA, BIA = "5511980000001@c.us", "5511980000002@c.us"
OLD_ANA = "551180000001@c.us"
SEVEN, NEW_SEVEN = "551170000001@c.us", "5511970000001@c.us"
LID, OTHER_LID = "210000000000001@lid", "210000000000002@lid"
SUSPECTED = "210000000000001@c.us"
GROUP = "120363000000000001@g.us"
MAY = datetime(2026, 5, 1, tzinfo=UTC)


def said(one: str, other: str, source: str = "lids", day: int = 0) -> Evidence:
    return Evidence(one, other, source, MAY + timedelta(days=day))


# -- what joins ----------------------------------------------------------------------------------


def test_evidence_joins_addresses_and_the_phone_stands_for_them() -> None:
    people = people_of([], [said(LID, ANA), said(OTHER_LID, ANA)])
    assert people[LID] == people[ANA] == people[OTHER_LID] == {ANA, LID, OTHER_LID}
    assert canonical(OTHER_LID, people) == ANA


def test_an_address_without_evidence_is_a_person_and_stands_for_itself() -> None:
    people = people_of([LID], [said(OTHER_LID, ANA)])
    assert people[LID] == {LID}
    assert canonical(LID, people) == LID
    assert canonical(BIA, people) == BIA


def test_two_spellings_of_one_line_are_one_person() -> None:
    people = people_of([ANA, OLD_ANA], [said(LID, OLD_ANA)])
    assert people[LID] == {ANA, OLD_ANA, LID}
    assert canonical(LID, people) == OLD_ANA


def test_lid_digits_under_a_phone_address_are_that_lid_and_no_phone() -> None:
    people = people_of([SUSPECTED], [said(LID, ANA)])
    assert people[SUSPECTED] == {SUSPECTED, LID, ANA}
    assert canonical(SUSPECTED, people) == ANA
    assert canonical(SUSPECTED, people_of([SUSPECTED, LID], [])) == LID
    assert canonical(SUSPECTED, {}) == SUSPECTED


def test_a_lid_proves_that_the_two_forms_of_a_seven_are_one() -> None:
    assert people_of([SEVEN, NEW_SEVEN], [])[SEVEN] == {SEVEN}
    people = people_of([], [said(LID, SEVEN), said(LID, NEW_SEVEN, "stanzas")])
    assert people[SEVEN] == {SEVEN, NEW_SEVEN, LID}


def test_an_operator_joins_two_numbers_and_later_evidence_needs_to_match_only_one() -> None:
    word = said(ANA, SEVEN, OPERATOR)
    people = people_of([], [word, said(LID, ANA), said(LID, NEW_SEVEN), said(LID, BIA)])
    assert people[LID] == {ANA, SEVEN, NEW_SEVEN, LID}
    assert people[BIA] == {BIA}


# -- what does not -------------------------------------------------------------------------------


def test_a_lid_that_two_phones_claim_belongs_to_the_newer_claim() -> None:
    people = people_of([], [said(LID, ANA), said(LID, BIA, day=1)])
    assert people[BIA] == {BIA, LID}
    assert people[ANA] == {ANA}


@pytest.mark.parametrize("rank", range(len(SOURCES) - 1))
def test_a_better_source_comes_before_a_newer_claim(rank: int) -> None:
    claims = [said(LID, ANA, SOURCES[rank]), said(LID, BIA, SOURCES[rank + 1], day=100)]
    assert people_of([], claims)[LID] == {ANA, LID}


@pytest.mark.parametrize("other", [GROUP, "0@c.us", "12345@c.us", "status@broadcast", "0@lid"])
def test_what_is_no_address_of_a_person_is_joined_with_nobody(other: str) -> None:
    people = people_of([], [said(ANA, other, source) for source in SOURCES])
    assert people[other] == {other}
    assert people[ANA] == {ANA}


@pytest.mark.parametrize("source", SOURCES)
def test_what_a_person_took_apart_stays_apart(source: str) -> None:
    for pair in ((LID, ANA), (ANA, LID)):
        assert people_of([], [said(LID, ANA, source)], [pair])[LID] == {LID}
    assert people_of([ANA, OLD_ANA], [], [(ANA, OLD_ANA)])[ANA] == {ANA}


def test_two_addresses_taken_apart_do_not_meet_through_a_third() -> None:
    people = people_of([], [said(LID, ANA), said(OTHER_LID, ANA, "groups")], [(LID, OTHER_LID)])
    assert people[ANA] == {ANA, LID}
    assert people[OTHER_LID] == {OTHER_LID}


def test_an_unknown_source_is_refused() -> None:
    with pytest.raises(KeyError):
        people_of([], [said(LID, ANA, "rumour")])


# -- laws ----------------------------------------------------------------------------------------

UNIVERSE = (
    *(ANA, OLD_ANA, BIA, SEVEN, NEW_SEVEN, LID, OTHER_LID, SUSPECTED, GROUP, "0@c.us"),
    *("551130000001@c.us", "5511930000001@c.us", "525512345678@c.us", "5215512345678@c.us"),
    *("541123456789@c.us", "5491123456789@c.us", "12025550123@c.us", "210000000000003@lid"),
)
ADDRESS = st.sampled_from(UNIVERSE)
ADDRESSES = st.lists(ADDRESS, max_size=8)
SEPARATED = st.lists(st.tuples(ADDRESS, ADDRESS).filter(lambda p: p[0] != p[1]), max_size=3)


def claims(sources: Collection[str] = SOURCES) -> st.SearchStrategy[list[Evidence]]:
    claim = st.builds(said, ADDRESS, ADDRESS, st.sampled_from(sorted(sources)), st.integers(0, 3))
    return st.lists(claim, max_size=14)


def law(test):  # type: ignore[no-untyped-def]
    return settings(max_examples=300, deadline=None)(test)


def reachable(start: str, edges: Iterable[tuple[str, str]]) -> set[str]:
    found, fresh = {start}, {start}
    while fresh:
        fresh = {b for edge in edges for a, b in (edge, edge[::-1]) if a in fresh} - found
        found |= fresh
    return found


@law
@given(ADDRESSES, claims(), SEPARATED)
def test_people_are_a_partition_of_everything_named(
    addresses: list[str], evidence: list[Evidence], separated: list[tuple[str, str]]
) -> None:
    people = people_of(addresses, evidence, separated)
    assert people.keys() == {*addresses, *(a for e in evidence for a in (e.one, e.other))}
    assert all(
        address in people[address] and people[member] == people[address]
        for address in people
        for member in people[address]
    )


@law
@given(ADDRESSES, claims(), SEPARATED, st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(addresses, evidence, separated, random) -> None:  # type: ignore[no-untyped-def]
    again = [*evidence, *random.choices(evidence, k=3)] if evidence else []
    # Evidence is a statement about a pair; neither side comes first.
    again = [
        Evidence(e.other, e.one, e.source, e.seen_at) if random.random() < 0.5 else e for e in again
    ]
    turned = [pair[::-1] if random.random() < 0.5 else pair for pair in separated]
    for shuffled in (again, turned):
        random.shuffle(shuffled)
    expected = people_of(addresses, evidence, separated)
    assert people_of(reversed(addresses), again, turned) == expected


@law
@given(ADDRESSES, claims(SOURCES[1:]), SEPARATED)
def test_nobody_has_phones_of_two_lines_without_an_operators_word(
    addresses: list[str], evidence: list[Evidence], separated: list[tuple[str, str]]
) -> None:
    for person in people_of(addresses, evidence, separated).values():
        numbers = [address for address in person if phones.phone_of(address)]
        assert all(phones.may_be_one_line(numbers[0], other) for other in numbers)


@law
@given(ADDRESSES, claims(), SEPARATED)
def test_nobody_is_joined_without_a_reason(
    addresses: list[str], evidence: list[Evidence], separated: list[tuple[str, str]]
) -> None:
    """A reason is evidence, one line, or LID digits; so a seven is joined by proof only."""
    reasons = [(e.one, e.other) for e in evidence]
    reasons += [
        (one, other)
        for one in UNIVERSE
        for other in UNIVERSE
        if phones.line_of(one) and phones.line_of(one) == phones.line_of(other)
    ]
    reasons.append((SUSPECTED, LID))
    for address, person in people_of(addresses, evidence, separated).items():
        within = [edge for edge in reasons if person.issuperset(edge)]
        assert reachable(address, within) == person


@law
@given(ADDRESSES, claims(), SEPARATED)
def test_separated_pairs_are_never_one_person(
    addresses: list[str], evidence: list[Evidence], separated: list[tuple[str, str]]
) -> None:
    people = people_of(addresses, evidence, separated)
    assert not any(other in people.get(one, ()) for one, other in separated)


@law
@given(ADDRESSES, claims(), SEPARATED, claims())
def test_evidence_about_others_changes_nothing(
    addresses: list[str],
    evidence: list[Evidence],
    separated: list[tuple[str, str]],
    more: list[Evidence],
) -> None:
    def moved(address: str) -> str:
        """The same kind of address, of somebody else."""
        user, at, server = address.partition("@")
        return user[:-2] + "77" + at + server if len(user) > 1 else address

    elsewhere = [Evidence(moved(e.one), moved(e.other), e.source, e.seen_at) for e in more]
    alone = people_of(addresses, evidence, separated)
    together = people_of(addresses, [*evidence, *elsewhere], separated)
    assert {address: together[address] for address in alone} == alone
