"""A share of the trials of `make crash`: killed or failed anywhere, an import ends the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ventros_pipeline_tests.crashes import plan
from ventros_pipeline_tests.crashes.trials import Outcome, Place, Trial, differences, place

KILLS, INCIDENTS = 5, 4


@pytest.fixture(scope="module")
def here() -> Iterator[Place]:
    with place() as found:
        yield found


def carried_out(here: Place, trials: list[Trial]) -> list[Outcome]:
    return [here.carry_out(trial) for trial in trials]


def test_an_import_killed_anywhere_and_begun_again_ends_the_same(here: Place) -> None:
    every = list(plan.kills(here))
    assert len({trial.step[0] for trial in every}) >= 200
    outcomes = carried_out(here, plan.share(every, KILLS))
    assert [outcome for outcome in outcomes if outcome.problems] == []
    assert {outcome.code for outcome in outcomes} == {-9}


def test_an_import_that_meets_a_failing_server_or_disk_ends_the_same(here: Place) -> None:
    every = list(plan.incidents(here))
    assert len(every) >= 40
    assert {trial.incident for trial in every} == set(plan.INCIDENTS)
    outcomes = carried_out(here, plan.share(every, INCIDENTS))
    assert [outcome for outcome in outcomes if outcome.problems] == []


def test_a_row_that_is_missing_is_a_difference(here: Place) -> None:
    """A comparison that could not fail would prove nothing."""
    start = here.starts[0]
    here.steps_of(start)
    wanted = here.expected[start.name]
    assert differences(wanted, wanted) == []
    assert wanted["proofs"] == {}
    rows = {name: found for name, found in wanted.items() if name not in ("proofs", "quarantine")}
    for name, found in rows.items():
        assert found, name
        assert differences({**wanted, name: found[:-1]}, wanted) == [f"other {name}"]
