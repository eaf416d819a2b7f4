"""Where a message stands in time: its UTC day in the calendar, and whether its time can be trusted.

What belongs here: the rules for zero, ancient, future, missing and millisecond timestamps.
What does not: reading windows (`waha/reading.py`) and partitions (`partitions.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl

DAY = 86_400
# WhatsApp was founded in 2009; a message older than that is a broken clock or a default value.
EARLIEST = int(datetime(2009, 1, 1, tzinfo=UTC).timestamp())
# A phone's clock may run ahead of ours, but not by more than this.
CLOCK_SKEW = DAY
# WAHA speaks seconds; above this a value can only be milliseconds (the year 5138 in seconds).
MILLISECONDS = 100_000_000_000


@dataclass(frozen=True)
class Calendar:
    """The days of one account.

    Attributes:
        start: first UTC day; it also holds everything older and everything without a trusted time.
        now: the moment of reading, UTC.
    """

    start: date
    now: datetime

    @property
    def start_second(self) -> int:
        """First second of the calendar, epoch seconds."""
        return second_of(self.start)

    @property
    def horizon(self) -> int:
        """First second that is too far in the future to be believed, epoch seconds."""
        return int(self.now.timestamp()) + CLOCK_SKEW + 1

    def day_of(self, timestamp: float | None) -> date:
        """Return the day that a message with WAHA's `timestamp` (epoch seconds) belongs to."""
        if timestamp is None or not self.start_second <= timestamp < self.horizon:
            return self.start
        return datetime.fromtimestamp(int(timestamp), UTC).date()

    def days_of(self, timestamp: pl.Expr) -> pl.Expr:
        """Return `day_of` of each (Float64, null where WAHA said nothing usable), Date."""
        is_known = (timestamp >= self.start_second) & (timestamp < self.horizon)
        second = pl.when(is_known).then(timestamp).cast(pl.Int64)
        return pl.from_epoch(second, time_unit="s").dt.date().fill_null(self.start)


def second_of(day: date) -> int:
    """Return the first second of a UTC day, in epoch seconds."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def with_time(rows: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    """Add the original time and whether it can be trusted.

    Args:
        rows: has `timestamp` (Int64, what WAHA said, null when it said nothing usable).
        calendar: the account's days and the moment of reading.

    Returns:
        `rows` with `at` (Datetime, UTC; never null), `time_trusted` (Boolean) and `time_problem`
        (String, null when trusted). A millisecond value is divided and marked; a missing one
        becomes 1970-01-01; nothing is corrected without the mark, and `metadata` keeps what was
        said.
    """
    raw = pl.col("timestamp")
    problem = (
        pl.when(raw.is_null())
        .then(pl.lit("missing"))
        .when(raw >= MILLISECONDS)
        .then(pl.lit("milliseconds"))
        .when(raw < EARLIEST)
        .then(pl.lit("before_2009"))
        .when(raw >= calendar.horizon)
        .then(pl.lit("future"))
    )
    earliest, latest = second_of(date.min), second_of(date.max)
    seconds = (
        pl.when(raw >= MILLISECONDS)
        .then(raw // 1000)
        .otherwise(raw.fill_null(0))
        # The CRM's JSON has the years 1 to 9999, and COPY refuses to read a year before that.
        .clip(earliest, latest)
    )
    return rows.with_columns(
        pl.from_epoch(seconds, time_unit="s").dt.replace_time_zone("UTC").alias("at"),
        problem.alias("time_problem"),
        problem.is_null().alias("time_trusted"),
    )
