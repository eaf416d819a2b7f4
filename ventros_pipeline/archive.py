"""The raw archive: one parquet file per channel and UTC day, exactly what WAHA said.

What belongs here: files and versions. What does not: where files lie and how one takes the place
of another (`stores.py`), reading WAHA, or any opinion on what a message means. Reading a day again
adds the versions that are new and removes nothing, so everything downstream can be rebuilt without
asking WAHA again. Secrets were taken out before rows come here.

A row that a complete read does not show any more stays, and its file remembers the moments of the
first two such reads. Only what is missed is written down: a read that shows what it showed before
leaves the file untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from io import BytesIO
from pathlib import Path, PurePosixPath

import polars as pl

from ventros_pipeline.stores import ArchiveError, open_store

TIME = pl.Datetime("us", "UTC")
VERSION = pl.Schema(
    {
        # WAHA's name of the row (chat and id); versions of one row share it.
        "row_key": pl.String(),
        "read_at": TIME,
        "payload": pl.Binary(),
    }
)
# What a read brings.
READ = VERSION.copy()
del READ["read_at"]
# The same in all versions of a row. Files of the first release have none of these columns, and read
# as if nothing had ever been missed.
MARKS = pl.Schema(
    {
        # The newest read that showed the row after one that had not; null when none had to.
        "seen_at": TIME,
        # The first and the second complete read since then that did not show it.
        "missed_at": TIME,
        "gone_at": TIME,
        # The first read since then that did not show it, nor much else: the store's trouble.
        "doubted_at": TIME,
    }
)
SCHEMA = pl.Schema([*VERSION.items(), *MARKS.items()])
DAY_SCHEMA = pl.Schema([("day", pl.Date()), *SCHEMA.items()])
# A WAHA that lost its store, or is still filling it after a new pairing, shows a part of a day or
# nothing. From so many rows on, more than half of them missing at once are no revokes; a day that
# is missing as a whole never is.
MANY_ROWS = 20
MOST_MISSING = 0.5


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
        read = rows.with_columns(pl.lit(read_at, dtype=TIME).alias("read_at"))
        before = self._read_day(channel, day)
        fresh = read.unique(["row_key", "payload"], keep="first", maintain_order=True)
        versions = fresh.match_to_schema(SCHEMA, missing_columns="insert")
        if before is not None:
            fresh = fresh.join(before, on=["row_key", "payload"], how="anti", maintain_order="left")
            added = fresh.match_to_schema(SCHEMA, missing_columns="insert")
            versions = pl.concat([before, added])
        now, vanished = _marked(versions, read["row_key"].unique(), read_at, complete=complete)
        if before is None or not now.equals(before):
            self._replace(self.name(channel, day), now)
        return DayWritten(
            day, read["row_key"].n_unique(), now["row_key"].n_unique(), fresh.height, vanished
        )

    def read(self, channel: str, days: Sequence[date]) -> pl.DataFrame:
        """Return all versions of all rows of some days: `DAY_SCHEMA`.

        Raises:
            ArchiveError: a day was never read from WAHA, or its file is damaged.
        """
        frames = []
        for day in days:
            frame = self._read_day(channel, day)
            if frame is None:
                raise ArchiveError(
                    f"channel {channel}, day {day}: nothing in the archive; materialise "
                    "raw_messages for this day first"
                )
            frames.append(frame.select(pl.lit(day).alias("day"), pl.all()))
        return pl.concat(frames) if frames else DAY_SCHEMA.to_frame()

    def count(self, channel: str, day: date) -> int:
        """Return the distinct rows known of a day; 0 where it was never read."""
        frame = self._read_day(channel, day)
        return 0 if frame is None else frame["row_key"].n_unique()

    def days(self, channel: str) -> list[date]:
        """Return the days of a channel that were ever read, oldest first."""
        files = map(PurePosixPath, self.store.sizes(channel))
        return sorted(date.fromisoformat(file.stem) for file in files)

    def rewrite(
        self,
        channel: str,
        day: date,
        clean: Callable[[bytes], bytes | None],
        *,
        dry_run: bool = False,
    ) -> int:
        """Take out of a day what nobody may keep; return how many rows that changed.

        Args:
            clean: returns a row without it, the row itself where there is nothing of it, or None
                where the row has to go with all its versions.
            dry_run: only count.

        Raises:
            ArchiveError: the file cannot be read or written.
        """
        before = self._read_day(channel, day)
        if before is None:
            return 0
        cleaned = [clean(payload) for payload in before["payload"]]
        keys = before["row_key"].to_list()
        gone = {key for key, now in zip(keys, cleaned, strict=True) if now is None}
        pairs = zip(keys, before["payload"], cleaned, strict=True)
        touched = gone | {key for key, was, now in pairs if now != was}
        if touched and not dry_run:
            payloads = pl.Series("payload", cleaned, dtype=pl.Binary)
            now = before.with_columns(payloads).filter(~pl.col("row_key").is_in(list(gone)))
            self._replace(self.name(channel, day), now)
        return len(touched)

    def delete(self, channel: str, day: date) -> int:
        """Delete what is kept of a day; return how many bytes that frees.

        Raises:
            ArchiveError: the file cannot be deleted.
        """
        name = self.name(channel, day)
        size = self.store.size(name)
        if size is not None:
            self.store.delete(name)
            self._sizes.pop(channel, None)
        return size or 0

    def _read_day(self, channel: str, day: date) -> pl.DataFrame | None:
        name = self.name(channel, day)
        content = self.store.get(name)
        if content is None:
            return None
        try:
            return pl.read_parquet(content, schema=SCHEMA, missing_columns="insert")
        except pl.exceptions.PolarsError as error:
            raise ArchiveError(
                f"channel {channel}, day {day}: {name} is damaged ({type(error).__name__}); move "
                f"it away from {self.store.place} and materialise raw_messages for this day again"
            ) from error

    def _replace(self, name: str, frame: pl.DataFrame) -> None:
        content = BytesIO()
        frame.write_parquet(content, compression="zstd", compression_level=3)
        self._grant(name, len(content.getbuffer()))
        # There are years of empty days, and one that a power cut takes is read again.
        self.store.put(name, content.getvalue(), sync=not frame.is_empty())

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
    now, last = pl.lit(read_at, dtype=TIME), pl.col("last")
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
