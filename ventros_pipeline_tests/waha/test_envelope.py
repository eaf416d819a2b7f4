"""Rows named and placed at once are named and placed as one by one, whatever is among them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from ventros_pipeline.transform.times import Calendar
from ventros_pipeline.waha.envelope import envelope_of, envelopes_of
from ventros_pipeline.waha.pages import timestamp_of, timestamps_of

CALENDAR = Calendar(date(2024, 1, 1), datetime(2026, 6, 1, tzinfo=UTC))
seconds = st.integers(1_700_000_000, 1_790_000_000)
odd_values: Any = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("1700000000")
)
plain = st.fixed_dictionaries(
    {"id": st.text("ab_@.0", min_size=1, max_size=9), "timestamp": seconds}
)
odd = st.dictionaries(
    st.sampled_from(["id", "timestamp", "i\0d", "body"]) | st.text(max_size=3), odd_values
)
odd_texts = st.sampled_from(
    [
        b'{"id":"a","id":"b","timestamp":1,"timestamp":2}',
        b'{"id":"a","timestamp":1e400}',
        b'{"id":"a","timestamp":1' + b"0" * 400 + b"}",
        b'{"id":"\\ud83d","timestamp":1700000000}',
        b'{"id":"a\\u0000","timestamp":1700000000}',
        b'{"id":"\xff","timestamp":1700000000}',
        b'{"id":"' + b"a" * 501 + b'","timestamp":1700000000}',
        b'{"id":"a","timestamp":9007199254740993}',
        b"[" * 3000 + b"]" * 3000,
        b"not json",
        b"",
    ]
)
pages = st.lists(
    (plain | odd).map(lambda row: json.dumps(row).encode()) | odd_texts, max_size=6
) | st.lists(plain.map(lambda row: json.dumps(row).encode()), max_size=6)


@given(pages)
def test_many_rows_are_named_and_timed_as_each_is(rows: list[bytes]) -> None:
    each = [envelope_of(row) for row in rows]
    assert envelopes_of(rows) == ([e.row_key for e in each], [e.timestamp for e in each])
    assert timestamps_of(rows) == [timestamp_of(row) for row in rows]


@given(st.lists(st.none() | seconds | st.floats(allow_nan=False, allow_infinity=False)))
def test_many_times_fall_on_the_day_that_each_does(times: list[float | None]) -> None:
    frame = pl.DataFrame({"time": pl.Series(times, dtype=pl.Float64, strict=False)})
    days = frame.select(CALENDAR.days_of(pl.col("time"))).to_series().to_list()
    assert days == [CALENDAR.day_of(time) for time in times]
