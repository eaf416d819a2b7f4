"""The rules of identity join nobody wrongly and miss little, and a worse rule is noticed."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import pytest

from ventros_pipeline.transform import identity, scoring
from ventros_pipeline.transform.identity import Evidence

REAL = identity.people_of
BOTH_WAYS = {
    "brazil_six_eight_nine",
    "brazil_landline_and_mobile",
    "brazil_seven_without_proof",
    "brazil_seven_with_proof",
    "shared_lid_better_source",
    "shared_lid_newer_claim",
    "several_lids_of_a_phone",
    "lid_digits_as_phone",
    "lid_like_a_phone",
    "chains",
    "separated",
    "joined_by_operator",
    "mexico",
    "argentina",
    "other_countries",
    "own_number",
    "lid_without_evidence",
    # The CRM says whose contact a number is, nothing of LIDs.
    *(f"lid_by_{source}" for source in identity.SOURCES if source != identity.CRM),
}
NEVER_SAME = {
    "other_area_code",
    "no_such_area_code",
    "one_digit_off",
    "groups",
    "null_and_junk",
}


def test_the_pairs_are_many_and_of_every_kind() -> None:
    pairs = scoring.labelled_pairs()
    labels: dict[str, set[bool]] = {}
    for pair in pairs:
        labels.setdefault(pair.case, set()).add(pair.same)
    assert len(pairs) >= 300
    assert {case for case, found in labels.items() if found == {True, False}} == BOTH_WAYS
    assert {case for case, found in labels.items() if found == {False}} == NEVER_SAME


def test_no_two_people_are_joined_and_hardly_anybody_is_left_in_two() -> None:
    score = scoring.score()
    assert score.precision == 1.0
    assert 0.98 <= score.recall < 1.0
    assert score.pairs == sum(case.pairs for case in score.cases)


def test_what_is_missed_is_what_no_rule_can_know() -> None:
    score = scoring.score()
    assert score.wrong == ("brazil_seven_without_proof", "lid_like_a_phone", "lid_without_evidence")
    assert not any(character.isdigit() for case in score.wrong for character in case)


def test_all_pairs_in_one_world_come_out_as_each_one_alone() -> None:
    pairs = scoring.labelled_pairs()
    people = REAL(
        {address for pair in pairs for address in (pair.one, pair.other)},
        [found for pair in pairs for found in pair.evidence],
        {taken for pair in pairs for taken in pair.separated},
    )
    alone = [scoring._is_joined(pair) for pair in pairs]
    assert [pair.other in people[pair.one] for pair in pairs] == alone


def with_a_nine(address: str) -> str:
    is_short = address.startswith("55") and address.endswith("@c.us") and len(address) == 17
    return f"{address[:4]}9{address[4:]}" if is_short else address


def add_nine_to_everything(
    addresses: Iterable[str],
    evidence: Iterable[Evidence],
    separated: Collection[tuple[str, str]] = (),
) -> dict[str, frozenset[str]]:
    """WAHA's idea of a Brazilian number, for landlines as well."""
    given = list(addresses)
    spelled = [
        Evidence(with_a_nine(e.one), with_a_nine(e.other), e.source, e.seen_at) for e in evidence
    ]
    people = REAL(map(with_a_nine, given), spelled, separated)
    return {
        one: frozenset(other for other in given if with_a_nine(other) in people[with_a_nine(one)])
        for one in given
    }


def trust_nobody(addresses: Iterable[str], *_: object) -> dict[str, frozenset[str]]:
    return {address: frozenset((address,)) for address in addresses}


def test_a_nine_for_everything_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "people_of", add_nine_to_everything)
    score = scoring.score()
    assert score.precision < 0.95
    assert "brazil_landline_and_mobile" in score.wrong


def test_joining_nobody_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "people_of", trust_nobody)
    score = scoring.score()
    assert (score.precision, score.recall) == (1.0, 0.0)
