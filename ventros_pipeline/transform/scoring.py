"""How good the rules of identity are, on pairs of addresses whose truth is known.

What belongs here: the figures. What does not: the rules (`identity.py`) and the pairs, which are
data (`labelled_pairs.csv`: invented numbers, labelled by what is true of the people and not by what
the rules say, so that it also holds pairs no rule can know).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources

from ventros_pipeline.transform import identity
from ventros_pipeline.transform.identity import Evidence

_SEPARATED = "separated"


@dataclass(frozen=True)
class Pair:
    """Two addresses, what is known about them, and whether they are one person.

    Attributes:
        case: the kind of pair, a name without digits.
        separated: pairs of addresses that a person took apart.
    """

    case: str
    one: str
    other: str
    same: bool
    evidence: tuple[Evidence, ...]
    separated: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CaseScore:
    """What became of the pairs of one kind.

    Attributes:
        missed: one person, left in two.
        wrongly_joined: two people, made one.
    """

    case: str
    pairs: int
    right: int
    missed: int
    wrongly_joined: int


@dataclass(frozen=True)
class Score:
    """What became of all pairs.

    Attributes:
        same: pairs that are one person.
        precision: of the pairs that the rules join, the share that are one person, 0 to 1.
        recall: of the pairs that are one person, the share that the rules join, 0 to 1.
    """

    pairs: int
    same: int
    precision: float
    recall: float
    cases: tuple[CaseScore, ...]

    @property
    def wrong(self) -> tuple[str, ...]:
        """The kinds with a pair that is missed or wrongly joined."""
        return tuple(found.case for found in self.cases if found.right < found.pairs)

    @property
    def sentence(self) -> str:
        """The score in one line of markdown."""
        return (
            f"Who is who: precision {self.precision:.3f} and recall {self.recall:.3f} "
            f"on {self.pairs:,} labelled pairs of addresses."
        )


def score() -> Score:
    """Return how the rules of identity do on the labelled pairs."""
    return score_of(labelled_pairs())


def labelled_pairs() -> tuple[Pair, ...]:
    """Return the labelled pairs that come with the package."""
    file = resources.files(__package__) / "labelled_pairs.csv"
    return tuple(_pair(**row) for row in csv.DictReader(file.read_text("utf-8").splitlines()))


def score_of(pairs: Iterable[Pair]) -> Score:
    """Return how the rules of identity do on pairs, each with nothing but its own evidence."""
    judged = [(pair, _is_joined(pair)) for pair in pairs]
    joined = [pair.same for pair, is_joined in judged if is_joined]
    same = [is_joined for pair, is_joined in judged if pair.same]
    by_case: dict[str, list[tuple[bool, bool]]] = {}
    for pair, is_joined in judged:
        by_case.setdefault(pair.case, []).append((pair.same, is_joined))
    return Score(
        pairs=len(judged),
        same=len(same),
        precision=_share(joined),
        recall=_share(same),
        cases=tuple(_case(case, found) for case, found in by_case.items()),
    )


def _case(case: str, found: list[tuple[bool, bool]]) -> CaseScore:
    missed, wrongly_joined = found.count((True, False)), found.count((False, True))
    right = len(found) - missed - wrongly_joined
    return CaseScore(case, len(found), right, missed, wrongly_joined)


def _share(answers: list[bool]) -> float:
    """Return how much of something is true; all of it where there is nothing."""
    return sum(answers) / len(answers) if answers else 1.0


def _is_joined(pair: Pair) -> bool:
    people = identity.people_of((pair.one, pair.other), pair.evidence, pair.separated)
    return pair.other in people[pair.one]


def _pair(case: str, one: str, other: str, same: str, evidence: str) -> Pair:
    """Read a line; `evidence` is `one=other:source:YYYY-MM-DD` or `one=other:separated`, by `;`."""
    claims: list[Evidence] = []
    separated: list[tuple[str, str]] = []
    for text in filter(None, evidence.split(";")):
        named, source, *day = text.split(":")
        left, _, right = named.partition("=")
        if source == _SEPARATED:
            separated.append((left, right))
        else:
            seen_at = datetime.fromisoformat(day[0]).replace(tzinfo=UTC)
            claims.append(Evidence(left, right, source, seen_at))
    return Pair(case, one, other, same == "1", tuple(claims), tuple(separated))
