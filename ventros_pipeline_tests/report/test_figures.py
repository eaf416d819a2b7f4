"""The figures of a report: which days are wanted, and what is plain data."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from ventros_pipeline.report.figures import DayFigures, _wanted_days
from ventros_pipeline_tests.report.made import made

TODAY = date(2026, 6, 10)


def known(*days: int, state: str = "settled") -> dict[date, DayFigures]:
    return {date(2026, 6, n): DayFigures(date(2026, 6, n), state) for n in days}


def test_a_balance_closes_when_every_row_seen_is_accounted_for() -> None:
    counts = {"inserted": 1, "updated": 2, "unchanged": 3, "duplicate": 4, "filtered": 5}
    assert made(balance={"seen": 21, **counts, "quarantined": 6}).closes


@pytest.mark.parametrize("seen", [20, 22])
def test_a_row_too_many_or_too_few_leaves_it_open(seen: int) -> None:
    open_balance = made(balance={"seen": seen, "inserted": 21})
    assert not open_balance.closes
    assert open_balance.as_json()["balance_closes"] is False


def test_a_row_too_many_on_one_day_does_not_make_up_for_one_too_few_on_another() -> None:
    assert not made(open_days=[date(2026, 6, 1), date(2026, 6, 2)]).closes


def test_the_report_as_json_is_plain_data() -> None:
    coverage = [{"state": "settling", "from_day": date(2026, 6, 1), "rows": Decimal(10)}]
    said = json.loads(json.dumps(made(coverage=coverage).as_json()))
    assert said["balance_closes"] is True
    assert said["first_at"] == datetime(2026, 6, 1, tzinfo=UTC).isoformat()
    assert said["last_at"] is None
    assert said["coverage"] == [{"state": "settling", "from_day": "2026-06-01", "rows": 10}]
    assert said["kind"] == {"text": 7, "image": 1}


def test_days_before_today_that_nobody_read_are_missing() -> None:
    days, missing = _wanted_days(known(4, 5, 7), date(2026, 6, 3), None, TODAY)
    assert [found.day.day for found in days] == [3, 4, 5, 6, 7, 8, 9, 10]
    assert [day.day for day in missing] == [3, 6, 8, 9]


def test_a_day_of_which_only_some_chats_were_read_is_missing() -> None:
    parts = known(3, 4, 5, 6, 7, 8, 9) | known(5, state="unknown")
    assert _wanted_days(parts, date(2026, 6, 3), None, TODAY)[1] == [date(2026, 6, 5)]


def test_days_before_the_oldest_message_are_not_missing_once_everything_was_asked_for() -> None:
    days, missing = _wanted_days(known(1, 7, 8, 9), date(2026, 6, 1), None, TODAY)
    assert [found.day.day for found in days] == [1, 7, 8, 9, 10]
    assert missing == []


def test_days_beyond_the_limit_of_a_channel_are_not_missing() -> None:
    days, missing = _wanted_days(known(9, 10), date(2026, 6, 1), 3, TODAY)
    assert [found.day.day for found in days] == [8, 9, 10]
    assert missing == [date(2026, 6, 8)]


def test_of_a_channel_that_was_never_imported_no_day_is_listed() -> None:
    assert _wanted_days({}, date(2026, 6, 1), None, TODAY) == ([], [])
