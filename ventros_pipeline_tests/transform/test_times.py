"""Which times are believed, and where a message without one stands."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ventros_pipeline.transform.times import (
    CLOCK_SKEW,
    EARLIEST,
    MILLISECONDS,
    Calendar,
    second_of,
    with_time,
)

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
CALENDAR = Calendar(date(2026, 6, 1), NOW)
TOMORROW = int(NOW.timestamp()) + CLOCK_SKEW


def judged(second: int | None) -> tuple[datetime, bool, str | None]:
    frame = with_time(
        pl.DataFrame({"timestamp": [second]}, schema={"timestamp": pl.Int64}), CALENDAR
    )
    [row] = frame.select("at", "time_trusted", "time_problem").rows()
    return row[0], row[1], row[2]


@pytest.mark.parametrize(
    ("second", "problem", "moment"),
    [
        (None, "missing", datetime(1970, 1, 1, tzinfo=UTC)),
        (0, "before_2009", datetime(1970, 1, 1, tzinfo=UTC)),
        (-5, "before_2009", datetime(1969, 12, 31, 23, 59, 55, tzinfo=UTC)),
        (EARLIEST - 1, "before_2009", datetime(2008, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (EARLIEST, None, datetime(2009, 1, 1, tzinfo=UTC)),
        (TOMORROW, None, NOW + timedelta(days=1)),
        (TOMORROW + 1, "future", NOW + timedelta(days=1, seconds=1)),
        (4_102_444_800, "future", datetime(2100, 1, 1, tzinfo=UTC)),
        (MILLISECONDS - 1, "future", datetime.fromtimestamp(MILLISECONDS - 1, UTC)),
        (1_770_000_000_123, "milliseconds", datetime.fromtimestamp(1_770_000_000, UTC)),
        (2**63 - 1, "milliseconds", datetime(9999, 12, 31, tzinfo=UTC)),
        (-(2**63), "before_2009", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_kept_and_marked_never_corrected_silently(
    second: int | None, problem: str | None, moment: datetime
) -> None:
    assert judged(second) == (moment, problem is None, problem)


@given(st.integers(-(2**63), 2**63 - 1))
def test_any_number_is_a_moment_that_postgres_and_the_crm_can_hold(second: int) -> None:
    moment, trusted, problem = judged(second)
    assert 1 <= moment.year <= 9999
    assert trusted == (problem is None)
    assert trusted == (EARLIEST <= second <= TOMORROW)


@pytest.mark.parametrize(
    ("second", "day"),
    [
        (None, date(2026, 6, 1)),
        (0, date(2026, 6, 1)),
        (-1.0, date(2026, 6, 1)),
        (EARLIEST, date(2026, 6, 1)),
        (second_of(date(2026, 6, 1)) - 1, date(2026, 6, 1)),
        (second_of(date(2026, 6, 1)), date(2026, 6, 1)),
        (second_of(date(2026, 6, 2)) - 0.5, date(2026, 6, 1)),
        (second_of(date(2026, 6, 2)), date(2026, 6, 2)),
        (TOMORROW, date(2026, 7, 1)),
        (TOMORROW + 1, date(2026, 6, 1)),
        (1_770_000_000_123, date(2026, 6, 1)),
        (1e300, date(2026, 6, 1)),
    ],
)
def test_the_first_day_of_the_calendar_holds_everything_that_no_other_day_does(
    second: float | None, day: date
) -> None:
    assert CALENDAR.day_of(second) == day


@given(st.integers(second_of(date(2026, 6, 1)), TOMORROW))
def test_every_second_of_the_calendar_has_its_utc_day(second: int) -> None:
    day = CALENDAR.day_of(second)
    assert second_of(day) <= second < second_of(day + timedelta(days=1))
