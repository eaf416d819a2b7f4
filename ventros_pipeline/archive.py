"""The raw archive: one parquet file per channel and UTC day, exactly what WAHA said.

What belongs here: versions, and which file a day is in. What does not: what a file is
(`dayfiles.py`), where files lie and how one takes the place of another (`stores.py`), reading WAHA,
or any opinion on what a message means. Reading a day again adds the versions that are new and
removes nothing, so everything downstream can be rebuilt without asking WAHA again. Secrets were
taken out before rows come here.

Settled days of a month may be put together into one file (`compact`). A day's own file goes before
the month's: a day that is read again gets a file of its own anew, with all that was known, and
joins the month the next time. So a kill between the month's writing and the days' deletion leaves
both, and either is right.

A row that a complete read does not show any more stays, and its file remembers the moments of the
first two such reads. Only what is missed is written down: a read that shows what it showed before
leaves the file untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from itertools import groupby
from pathlib import Path, PurePosixPath

import polars as pl

from ventros_pipeline.dayfiles import (
    DAY_SCHEMA,
    MARKS,
    READ,
    SCHEMA,
    TAIL_BYTES,
    TIME,
    VERSION,
    days_in,
    decode_day,
    decode_days,
    encode_day,
    encode_days,
)
from ventros_pipeline.stores import ArchiveError, open_store

__all__ = ["DAY_SCHEMA", "MARKS", "READ", "SCHEMA", "VERSION", "Archive", "ArchiveError"]

# A WAHA that lost its store, or is still filling it after a new pairing, shows a part of a day or
# nothing. From so many rows on, more than half of them missing at once are no revokes; a day that
# is missing as a whole never is.
MANY_ROWS = 20
MOST_MISSING = 0.5
# A month whose days take more is left in days, whose files are large enough: it is put together in
# memory, where it takes some eight times as much.
MONTH_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Row:
    """One message as WAHA returned it, minus secrets."""

    row_key: str
    payload: bytes


@dataclass(frozen=True)
class DayWritten:
    """What one read of a day brought.

    Attributes:
        day: UTC day.
        read: distinct rows in this read.
        known: distinct rows in the archive now.
        new_versions: rows and versions that were not in the archive before.
        vanished: rows that were there before and are missing in so great a number that the read
            says nothing about any of them; 0 when it is to be believed.
    """

    day: date
    read: int
    known: int
    new_versions: int
    vanished: int = 0


class Archive:
    """The archive of all channels at one place."""

    def __init__(self, place: Path | str, *, most_bytes: int | None = None) -> None:
        """Use a folder, which is made when the first day is written, or what lies at a URI.

        Args:
            most_bytes: what the files of one channel may take; None is no limit.
        """
        self.store = open_store(place)
        self._most = most_bytes
        self._sizes: dict[str, dict[str, int]] = {}

    def name(self, channel: str, day: date) -> str:
        """Return the name of the file of one channel and day."""
        return f"{channel}/{day:%Y}/{day.isoformat()}.parquet"

    def write(
        self,
        channel: str,
        day: date,
        rows: pl.DataFrame | Iterable[Row],
        *,
        read_at: datetime,
        complete: bool = False,
    ) -> DayWritten:
        """Add one read of a day.

        Args:
            channel: channel key.
            day: UTC day.
            rows: what was read, as `READ` or one by one; a row may come twice.
            read_at: when it was read, UTC; the same for the whole read.
            complete: whether a known row that is not among `rows` was missed, because all chats
                of a day that had stopped growing were read.

        Raises:
            ArchiveError: the file cannot be written.
        """
        if not isinstance(rows, pl.DataFrame):
            rows = pl.DataFrame([(row.row_key, row.payload) for row in rows], READ, orient="row")
        read = rows.with_columns(_at(read_at).alias("read_at"))
        before = self._read_day(channel, day)
        fresh = read.unique(["row_key", "payload"], keep="first", maintain_order=True)
        versions = fresh.match_to_schema(SCHEMA, missing_columns="insert")
        if before is not None:
            fresh = fresh.join(before, on=["row_key", "payload"], how="anti", maintain_order="left")
            added = fresh.match_to_schema(SCHEMA, missing_columns="insert")
            versions = pl.concat([before, added])
        now, vanished = _marked(versions, read["row_key"].unique(), read_at, complete=complete)
        if before is None or not now.equals(before):
            # There are years of empty days, and one that a power cut takes is read again.
            content = encode_day(now)
            self._grant(self.name(channel, day), len(content))
            self.store.put(self.name(channel, day), content, sync=not now.is_empty())
        return DayWritten(
            day, read["row_key"].n_unique(), now["row_key"].n_unique(), fresh.height, vanished
        )

    def read(self, channel: str, days: Sequence[date]) -> pl.DataFrame:
        """Return all versions of all rows of some days: `DAY_SCHEMA`.

        Raises:
            ArchiveError: a day was never read from WAHA, or its file is damaged.
        """
        frames = list(self.each(channel, days))
        return pl.concat(frames) if frames else DAY_SCHEMA.to_frame()

    def each(self, channel: str, days: Sequence[date]) -> Iterator[pl.DataFrame]:
        """Yield days one after the other, in the order given, each as `DAY_SCHEMA`.

        Raises:
            ArchiveError: a day was never read from WAHA, or its file is damaged.
        """
        for day, frame in self._found(channel, days):
            if frame is None:
                raise ArchiveError(
                    f"channel {channel}, day {day}: nothing in the archive; materialise "
                    "raw_messages for this day first"
                )
            yield frame.select(pl.lit(day).alias("day"), pl.all())

    def counts(self, channel: str, days: Sequence[date]) -> Iterator[tuple[date, int]]:
        """Yield days with the distinct rows known of each; 0 where it was never read."""
        for day, frame in self._found(channel, days):
            yield day, 0 if frame is None else frame["row_key"].n_unique()

    def days(self, channel: str) -> list[date]:
        """Return the days of a channel that were ever read, oldest first.

        Raises:
            ArchiveError: the file of a month is damaged.
        """
        found: set[date] = set()
        for name in self.store.sizes(channel):
            day = _day_of(name)
            found |= {day} if day else set(days_in(self.store.tail(name, TAIL_BYTES) or b"", name))
        return sorted(found)

    def compact(self, channel: str, days: Sequence[date]) -> int:
        """Put days together by month; return how many files that saves.

        Whoever calls it keeps the channel's archive to himself, and gives days that have settled.

        Raises:
            ArchiveError: a file cannot be read or written; what is there stays right.
        """
        sizes = self.store.sizes(channel)
        apart = [day for day in sorted(days) if self.name(channel, day) in sizes]
        saved = 0
        for _, of_month in groupby(apart, lambda day: (day.year, day.month)):
            group = list(of_month)
            month = _month_name(channel, group[0])
            names = [self.name(channel, day) for day in group]
            bytes_ = sum(sizes[name] for name in names) + sizes.get(month, 0)
            if len(group) + (month in sizes) > 1 and bytes_ <= MONTH_BYTES:
                known = {day: self._read_own(channel, day) for day in group}
                kept = {day: frame for day, frame in known.items() if frame is not None}
                self.store.put(month, encode_days(self._month(channel, group[0]) | kept))
                for name in names:
                    self.store.delete(name)
                self._sizes.pop(channel, None)
                saved += len(group) - (month not in sizes)
        return saved

    def rewrite(
        self, channel: str, clean: Callable[[bytes], bytes | None], *, dry_run: bool = False
    ) -> int:
        """Take out of a channel what nobody may keep; return how many rows that changed.

        Every file is looked at, also a month's copy of a day that has a file of its own.

        Args:
            clean: returns a row without it, the row itself where there is nothing of it, or None
                where the row has to go with all its versions.
            dry_run: only count.

        Raises:
            ArchiveError: a file cannot be read or written.
        """
        touched: set[tuple[date, str]] = set()
        for name in self.store.sizes(channel):
            day = _day_of(name)
            known = self._own(name, day) if day else self._of_month(name)
            changed = False
            for each, before in known.items():
                known[each], keys = _without(before, clean)
                touched |= {(each, key) for key in keys}
                changed |= bool(keys)
            if changed and not dry_run:
                self.store.put(name, encode_day(known[day]) if day else encode_days(known))
        return len(touched)

    def delete(self, channel: str, days: Sequence[date]) -> int:
        """Delete what is kept of some days; return how many bytes that frees.

        Raises:
            ArchiveError: a file cannot be written or deleted.
        """
        before = self.store.sizes(channel)
        wanted = set(days)
        # A month's copies first: a day's own file hides them until it goes, too.
        for name in {_month_name(channel, day) for day in wanted} & before.keys():
            known = self._of_month(name)
            kept = {day: frame for day, frame in known.items() if day not in wanted}
            if not kept:
                self.store.delete(name)
            elif len(kept) < len(known):
                self.store.put(name, encode_days(kept))
        for name in {self.name(channel, day) for day in wanted} & before.keys():
            self.store.delete(name)
        self._sizes.pop(channel, None)
        return sum(before.values()) - sum(self.store.sizes(channel).values())

    def _read_day(self, channel: str, day: date) -> pl.DataFrame | None:
        own = self._read_own(channel, day)
        return self._month(channel, day).get(day) if own is None else own

    def _grant(self, name: str, size: int) -> None:
        """Count what a file will take; refuse one that grows beyond what the channel may have.

        The store lists a channel's files once: whoever writes has the channel's turn.
        """
        if self._most is None:
            return
        channel, _, file = name.partition("/")
        if channel not in self._sizes:
            self._sizes[channel] = self.store.sizes(channel)
        sizes = self._sizes[channel]
        more = size - sizes.get(name, 0)
        if more > 0 and sum(sizes.values()) + more > self._most:
            raise ArchiveError(
                f"channel {channel}, day {PurePosixPath(file).stem}: the channel's archive would "
                f"take more than {self._most // 1024 // 1024:,} MB, and the day was not kept; "
                "raise VENTROS_ARCHIVE_LIMIT_MB, or let settled days go with "
                "VENTROS_ARCHIVE_KEEP_DAYS, then run the same days again (what was read before is "
                "kept)"
            )
        sizes[name] = size

    def _found(
        self, channel: str, days: Sequence[date]
    ) -> Iterator[tuple[date, pl.DataFrame | None]]:
        """Yield what is known of days, and read the file of a month once for all of its days."""
        apart: dict[str, int] = {}
        for year in {day.year for day in days}:
            apart |= self.store.sizes(f"{channel}/{year}")
        at, month = "", dict[date, pl.DataFrame]()
        for day in days:
            name = _month_name(channel, day)
            has_own = self.name(channel, day) in apart
            own = self._read_own(channel, day) if has_own else None
            # A day whose own file has gone since has joined the month at this moment.
            if own is None and (has_own or at != name):
                at, month = name, self._of_month(name) if has_own or name in apart else {}
            yield day, month.get(day) if own is None else own

    def _read_own(self, channel: str, day: date) -> pl.DataFrame | None:
        return self._own(self.name(channel, day), day).get(day)

    def _own(self, name: str, day: date) -> dict[date, pl.DataFrame]:
        content = self.store.get(name)
        return {} if content is None else {day: decode_day(content, name)}

    def _month(self, channel: str, day: date) -> dict[date, pl.DataFrame]:
        return self._of_month(_month_name(channel, day))

    def _of_month(self, name: str) -> dict[date, pl.DataFrame]:
        content = self.store.get(name)
        return {} if content is None else decode_days(content, name)


@lru_cache(maxsize=1)
def _at(moment: datetime) -> pl.Expr:
    """Return a moment as an expression; making it costs a quarter of writing a quiet day."""
    return pl.lit(moment, dtype=TIME)


def _month_name(channel: str, day: date) -> str:
    return f"{channel}/{day:%Y}/{day:%Y-%m}.parquet"


def _day_of(name: str) -> date | None:
    """Return the day whose file this is; None for the file of a month."""
    stem = PurePosixPath(name).stem
    return date.fromisoformat(stem) if stem.count("-") == 2 else None


def _without(
    before: pl.DataFrame, clean: Callable[[bytes], bytes | None]
) -> tuple[pl.DataFrame, set[str]]:
    """Return a day without what nobody may keep, and the names of the rows that this changed."""
    cleaned = [clean(payload) for payload in before["payload"]]
    keys = before["row_key"].to_list()
    gone = {key for key, now in zip(keys, cleaned, strict=True) if now is None}
    pairs = zip(keys, before["payload"], cleaned, strict=True)
    touched = gone | {key for key, was, now in pairs if now != was}
    if not touched:
        return before, touched
    payloads = pl.Series("payload", cleaned, dtype=pl.Binary)
    now = before.with_columns(payloads).filter(~pl.col("row_key").is_in(list(gone)))
    return now, touched


def _marked(
    versions: pl.DataFrame, shown: pl.Series, read_at: datetime, *, complete: bool
) -> tuple[pl.DataFrame, int]:
    """Write down what a read says about the rows that were known before it.

    A row's moments are the first two absences since it was seen last, whatever order reads come in.

    Args:
        versions: `SCHEMA`; the new versions have no marks yet.
        shown: names of the rows in this read.
        read_at: the read's moment.
        complete: whether the others were missed.

    Returns:
        The versions with their marks, and how many rows vanished together.
    """
    is_missing = ~versions["row_key"].is_in(shown.implode())
    was_marked = any(versions[name].null_count() < versions.height for name in MARKS)
    if not was_marked and not (complete and is_missing.any()):
        return versions, 0  # Nearly every read of nearly every day.
    now, last = _at(read_at), pl.col("last")
    told = versions.with_columns(pl.col(*MARKS).max().over("row_key")).with_columns(
        (~is_missing).alias("shown"),
        pl.max_horizontal("seen_at", pl.col("read_at").max().over("row_key")).alias("last"),
    )
    # A read that began before a row was seen last cannot have missed it.
    told = told.with_columns((~pl.col("shown") & (last < now)).alias("absent"))
    vanished = _vanished(told, now) if complete else 0
    missed = pl.when(pl.col("absent") & pl.lit(complete and not vanished)).then(now)
    doubted = pl.when(pl.col("absent") & pl.col("missed_at").is_null() & pl.lit(vanished > 0))
    returns = pl.col("shown") & pl.any_horizontal(pl.col("missed_at", "doubted_at").is_not_null())
    marked = told.with_columns(
        pl.when(returns).then(pl.max_horizontal("seen_at", now)).otherwise("seen_at"),
        pl.when("shown").then(pl.max_horizontal("last", now)).otherwise("last").alias("last"),
        pl.min_horizontal("doubted_at", doubted.then(now)).alias("doubted_at"),
        missed.alias("missed_now"),
    )
    moments = [
        pl.when(pl.col(name) > last).then(name) for name in ("missed_at", "gone_at", "missed_now")
    ]
    first_two = pl.concat_list(moments).list.drop_nulls().list.unique().list.sort()
    marked = marked.with_columns(
        first_two.list.get(0, null_on_oob=True).alias("missed_at"),
        first_two.list.get(1, null_on_oob=True).alias("gone_at"),
        pl.when(pl.col("doubted_at") > last).then("doubted_at"),
    )
    return marked.select(SCHEMA.names()), vanished


def _vanished(told: pl.DataFrame, now: pl.Expr) -> int:
    """Return how many rows went missing at once, when they are too many to be revokes; else 0."""
    rows = told.sort("read_at").unique("row_key", keep="first")
    there = rows.filter(pl.col("read_at") < now, pl.col("missed_at").is_null())
    absent = int(there["absent"].sum())
    too_many = there.height >= MANY_ROWS and absent > MOST_MISSING * there.height
    return absent if absent == there.height or too_many else 0
