"""The arithmetic and the table of the benchmarks; speed itself is never asserted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from pathlib import Path

import pytest

from benchmarks.fleet_import import YEAR, Cost, ranges_of, simulate, year_of
from benchmarks.fleet_import import Limits as FleetLimits
from benchmarks.speed import kept
from benchmarks.speed import profile as profiles
from benchmarks.speed.figures import (
    AT_LEAST,
    AT_MOST,
    Line,
    Spread,
    Target,
    grid,
    growth,
    ratios,
    shares,
    shown,
    table,
    verdict,
)
from benchmarks.speed.kept import FULL, SHORT, Kept
from benchmarks.speed.profile import Profile
from benchmarks.speed.rows import ROWS
from benchmarks.speed.targets import TARGETS
from ventros_pipeline.settings import Settings

SLOW = Target("load.copy", "load", AT_MOST, 1.7, "×", "1,000,000")
QUICK = Target("dlt.whole", "dlt", AT_LEAST, 8, "×", "100,000")


def test_a_ratio_is_taken_pair_by_pair_and_its_median_counts() -> None:
    found = ratios([2.0, 30.0, 4.0], [1.0, 10.0, 1.0])

    assert found.values == (2.0, 3.0, 4.0)
    assert found.middle == 3.0


def test_ratios_of_unequal_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0, 2.0], [1.0])


def test_a_spread_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        Spread.of([])


def test_a_spread_shows_its_range_only_where_there_is_one() -> None:
    assert Spread.of([2.0]).text("s") == "2.00 s"
    assert Spread.of([3.0, 1.0, 2.0]).text("s") == "2.00 s (1.00 to 3.00)"


def test_growth_is_one_where_time_is_linear() -> None:
    assert growth({1_000: 2.0, 10_000: 20.0}) == pytest.approx(1.0)
    assert growth({1_000: 1.0, 5_000: 9.0, 10_000: 15.0}) == pytest.approx(1.5)


def test_numbers_are_shown_with_three_digits() -> None:
    assert [shown(n) for n in (0.123, 12.34, 123.4, 12_345.6)] == ["0.12", "12.3", "123", "12,346"]


def test_a_target_is_met_on_its_own_side() -> None:
    assert verdict(SLOW, Line(SLOW.key, Spread.of([1.7]), "")) == "yes"
    assert verdict(SLOW, Line(SLOW.key, Spread.of([1.8]), "")) == "**no**"
    assert verdict(QUICK, Line(QUICK.key, Spread.of([8.1]), "")) == "yes"
    assert verdict(QUICK, Line(QUICK.key, Spread.of([7.9]), "")) == "**no**"


def test_what_was_not_measured_stands_in_the_table_and_meets_nothing() -> None:
    text = table([SLOW, QUICK], [Line(SLOW.key, Spread.of([1.5]), "1,000", "3 s ÷ 2 s")])

    _, _, load, dlt = text.splitlines()
    assert "1.50 ×" in load
    assert "1,000 (target: 1,000,000)" in load
    assert "| yes" in load
    assert "not measured" in dlt
    assert "yes" not in dlt


def test_a_grid_is_as_wide_as_its_widest_cells() -> None:
    lines = grid([("a", "b"), ("long", "x")]).splitlines()

    assert lines == ["| a    | b |", "| ---- | - |", "| long | x |"]


def test_shares_show_what_they_sum_to() -> None:
    text = shares({"request": 1.0, "merge": 2.5}, whole=4.0)

    assert text.splitlines()[2].split() == ["|", "merge", "|", "2.50", "|", "62.5%", "|"]
    assert "87.5%" in text


def test_every_target_has_a_row_that_measures_it() -> None:
    keys = [target.key for target in TARGETS]

    assert len(set(keys)) == len(keys)
    assert {target.row for target in TARGETS} <= set(ROWS)


def _found(row: str, form: str, seconds: float) -> Kept:
    how = {"date": "today", "load before": "0", "sizes": "10", "took": "1 s", "machine": "mine"}
    return Kept(row, form, how, [Line(f"{row}.copy", Spread.of([seconds]), "10")], {"part": "x"})


def test_a_row_that_is_measured_again_leaves_the_others_and_the_other_form(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kept, "DATA", tmp_path / "results.json")
    monkeypatch.setattr(kept, "PAGE", tmp_path / "RESULTS.md")
    for found in (
        _found("load", FULL, 1.5),
        _found("load", SHORT, 1.75),
        _found("dlt", SHORT, 9),
        _found("load", SHORT, 1.25),
    ):
        kept.keep(found)

    assert kept.kept() == [
        _found("load", FULL, 1.5),
        _found("dlt", SHORT, 9),
        _found("load", SHORT, 1.25),
    ]
    full, _, short = (tmp_path / "RESULTS.md").read_text(encoding="utf-8").partition(SHORT)
    assert "1.50 ×" in full
    assert "1.25 ×" in short
    assert "1.75" not in full + short


class Clock:
    """Time that passes only when something takes it; in whole seconds, so that sums are exact."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def take(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(profiles, "perf_counter", found)
    return found


def test_parts_of_a_profile_exclude_each_other_and_sum_to_the_wall_time(clock: Clock) -> None:
    profile = Profile("rest")
    inner = profile._timed(lambda: clock.take(2), "inner")

    def work() -> None:
        clock.take(3)
        inner()

    outer = profile._timed(work, "outer")
    beside = threading.Thread(target=inner)
    profile._enter("rest")

    clock.take(1)
    outer()
    seen = profile.stop()
    beside.start()
    beside.join()

    assert seen["parts"] == {"rest": 1, "inner": 2, "outer": 3}
    assert profile.beside == {"inner": 2}
    assert profile.calls["inner"] == 2


def test_a_generator_is_counted_where_it_works_and_not_where_its_values_are_used(
    clock: Clock,
) -> None:
    def produce() -> Iterator[int]:
        for value in (1, 2):
            clock.take(5)
            yield value

    profile = Profile("rest")
    profile._enter("rest")
    values = []
    for value in profile._timed(produce, "steps")():
        clock.take(1)
        values.append(value)

    assert values == [1, 2]
    assert profile.stop()["parts"] == {"rest": 2, "steps": 10}


# -- the simulated fleet ---------------------------------------------------------------------------

LIMITS = FleetLimits(rate=8, at_once=2, latency=0.05, places=4, places_of_server=2, cores=1)


@pytest.mark.parametrize(
    ("plans", "servers", "seconds"),
    [
        # One after the other: an answer takes less than a turn, so turns are what is waited for,
        # after the eight of a quiet second.
        ([[Cost(81, 0, 0)]], 1, 73 / 8 + 0.05),
        # Two channels share a server's turns, and do not share those of two servers.
        ([[Cost(40, 0, 0)], [Cost(41, 0, 0)]], 1, 73 / 8 + 0.05),
        ([[Cost(81, 0, 0)], [Cost(81, 0, 0)]], 2, 73 / 8 + 0.05),
        # One core loads one range at a time, and a channel has one run at a time.
        ([[Cost(1, 0, 10)], [Cost(1, 0, 10)]], 2, 20.05),
        ([[Cost(1, 0, 0, 10), Cost(1, 0, 0, 10)]], 1, 20.1),
        # Four places: the fifth channel waits, and of one server only two go at once.
        ([[Cost(1, 0, 0, 10)]] * 5, 5, 20.1),
        ([[Cost(1, 0, 0, 10)]] * 4, 1, 20.1),
    ],
)
def test_a_simulated_fleet_waits_for_turns_places_and_cores(
    plans: list[list[Cost]], servers: int, seconds: float
) -> None:
    assert simulate(plans, servers, LIMITS) == pytest.approx(seconds, abs=0.15)


def test_a_simulated_fleet_is_imported_in_the_runs_that_a_plan_makes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VENTROS_RUN_DAYS", "20")
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    ranges = ranges_of(settings, 62)
    assert [len(days) for days in ranges] == [20, 20, 20, 3]
    days = [settings.history_start + timedelta(number) for number in range(63)]
    assert list(chain(*reversed(ranges))) == days
    year = year_of([[Cost(10, 1, 1)]], messages=20_000, starting=0)
    assert len(year) == len(ranges_of(settings, YEAR)) == 19


def test_a_slow_server_answers_no_more_at_once_than_it_may() -> None:
    slow = replace(LIMITS, latency=10, rate=100)
    assert simulate([[Cost(1, 0, 0)]] * 4, 1, replace(slow, places_of_server=4)) == pytest.approx(
        20, abs=0.1
    )
