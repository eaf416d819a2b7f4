"""Which days an import reads, in which runs."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ventros_pipeline.crm.limits import DayRange
from ventros_pipeline.planning import PlanError, parse_day, parse_since, plan_runs, trim

START, TODAY = date(2026, 1, 1), date(2026, 6, 30)


def plan(**how: date | None) -> list[DayRange]:
    given = {"since": None, "until": None, "oldest": None, **how}
    return plan_runs(START, TODAY, run_days=31, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("1d", TODAY),
        ("30d", date(2026, 6, 1)),
        ("2026-02-03", date(2026, 2, 3)),
    ],
)
def test_since_is_a_number_of_days_or_a_date(text: str, day: date) -> None:
    assert parse_since(text, TODAY) == day


@pytest.mark.parametrize("text", ["", "d", "0d", "-3d", "1.5d", "last week", "2026-13-01", "²d"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(PlanError, match="180d"):
        parse_since(text, TODAY)
    with pytest.raises(PlanError, match="2026-01-31"):
        parse_day(text)


def test_runs_go_from_the_newest_day_to_the_oldest() -> None:
    ranges = plan(since=date(2026, 5, 1))
    assert ranges == [
        DayRange(date(2026, 5, 31), TODAY),
        DayRange(date(2026, 5, 1), date(2026, 5, 30)),
    ]


def test_everything_leaves_out_the_empty_days_but_for_the_first() -> None:
    """The first day also holds what is older and what has no time."""
    ranges = plan(oldest=date(2026, 6, 10))
    assert ranges == [DayRange(date(2026, 6, 10), TODAY), DayRange(START, START)]
    assert plan(oldest=START)[-1].first == START
    assert plan(oldest=START + timedelta(days=2))[-1] == DayRange(START, START)
    assert plan(oldest=START + timedelta(days=1))[-1].days > 1


def test_days_asked_for_by_name_are_all_read() -> None:
    ranges = plan(since=date(2026, 6, 1), oldest=date(2026, 6, 10))
    assert ranges == [DayRange(date(2026, 6, 1), TODAY)]


def test_the_calendar_bounds_what_is_asked_for() -> None:
    assert plan(since=date(2020, 1, 1), until=START) == [DayRange(START, START)]
    assert plan(since=TODAY, until=date(2030, 1, 1)) == [DayRange(TODAY, TODAY)]


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (date(2026, 6, 2), date(2026, 6, 1)),
        (None, date(2025, 12, 31)),
        (date(2026, 7, 1), None),
    ],
)
def test_days_outside_of_the_calendar_are_refused(since: date | None, until: date | None) -> None:
    with pytest.raises(PlanError, match="VENTROS_HISTORY_START"):
        plan(since=since, until=until)


def trimmed(oldest: date | None, run_days: int | None = 31, **how: date | None) -> list[DayRange]:
    return trim(plan(**how), calendar_start=START, oldest=oldest, run_days=run_days)


def test_a_plan_made_blind_is_trimmed_to_what_waha_holds_and_keeps_the_first_day() -> None:
    assert trimmed(date(2026, 6, 10)) == plan(oldest=date(2026, 6, 10))
    assert trimmed(START) == trimmed(None) == plan()
    assert trimmed(date(2026, 8, 1)) == [DayRange(TODAY, TODAY), DayRange(START, START)]
    since = date(2026, 5, 1)
    assert trimmed(date(2026, 6, 10), since=since) == [DayRange(date(2026, 6, 10), TODAY)]


def test_a_plan_whose_ranges_are_dear_becomes_one_range() -> None:
    assert trimmed(None, None) == [DayRange(START, TODAY)]


days = st.dates(START, TODAY)


@given(days, days, days, st.integers(1, 40))
def test_ranges_cover_every_day_from_the_oldest_once(
    first: date, last: date, oldest: date, run_days: int
) -> None:
    first, last = min(first, last), max(first, last)
    for since in (first, None):
        ranges = plan_runs(START, TODAY, since=since, until=last, oldest=oldest, run_days=run_days)
        listed = [r.first + timedelta(days=n) for r in ranges for n in range(r.days)]
        assert len(listed) == len(set(listed))
        assert all(r.days <= run_days for r in ranges)
        assert [r.first for r in ranges] == sorted((r.first for r in ranges), reverse=True)
        start = since or START
        needed = {start, *(d for d in listed if d >= oldest)} if since is None else set(listed)
        whole = {start + timedelta(days=n) for n in range((last - start).days + 1)}
        assert needed <= set(listed) <= whole
        if since is not None:
            assert set(listed) == whole
        else:
            assert {d for d in whole if d >= oldest} <= set(listed)
