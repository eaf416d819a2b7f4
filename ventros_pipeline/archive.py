"""The raw archive: one parquet file per channel and UTC day, exactly what WAHA said.

What belongs here: files, their atomic replacement, and versions. What does not: reading WAHA, or
any opinion on what a message means. Reading a day again adds the versions that are new and removes
nothing, so everything downstream can be rebuilt without asking WAHA again. Secrets were taken out
before rows come here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import polars as pl

SCHEMA = pl.Schema(
    {
        # WAHA's name of the row (chat and id); versions of one row share it.
        "row_key": pl.String,
        "read_at": pl.Datetime("us", "UTC"),
        "payload": pl.Binary,
    }
)
DAY_SCHEMA = pl.Schema({"day": pl.Date, **SCHEMA})


class ArchiveError(Exception):
    """The archive cannot be read or written; the message says what to do."""


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
    """

    day: date
    read: int
    known: int
    new_versions: int


class Archive:
    """The archive of all channels under one directory."""

    def __init__(self, directory: Path) -> None:
        """Use `directory`, which is made when the first day is written."""
        self.directory = directory

    def path(self, channel: str, day: date) -> Path:
        """Return the file of one channel and day."""
        return self.directory / channel / f"{day:%Y}" / f"{day.isoformat()}.parquet"

    @property
    def media(self) -> Path:
        """The folder of media files; no channel key is this short."""
        return self.directory / "media"

    def write(
        self, channel: str, day: date, rows: Iterable[Row], *, read_at: datetime
    ) -> DayWritten:
        """Add one read of a day.

        Args:
            channel: channel key.
            day: UTC day.
            rows: what was read; a row may come twice.
            read_at: when it was read, UTC; the same for the whole read.

        Raises:
            ArchiveError: the file cannot be written.
        """
        read = pl.DataFrame(
            [(row.row_key, read_at, row.payload) for row in rows], schema=SCHEMA, orient="row"
        )
        before = self._read_day(channel, day)
        known = SCHEMA.to_frame() if before is None else before
        fresh = read.unique(["row_key", "payload"], keep="first", maintain_order=True).join(
            known, on=["row_key", "payload"], how="anti", maintain_order="left"
        )
        if before is None or not fresh.is_empty():
            known = pl.concat([known, fresh])
            self._replace(self.path(channel, day), known)
        return DayWritten(
            day, read["row_key"].n_unique(), known["row_key"].n_unique(), fresh.height
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

    def _read_day(self, channel: str, day: date) -> pl.DataFrame | None:
        path = self.path(channel, day)
        if not path.exists():
            return None
        try:
            return pl.read_parquet(path, schema=SCHEMA)
        except pl.exceptions.PolarsError as error:
            raise ArchiveError(
                f"channel {channel}, day {day}: {path.name} is damaged ({type(error).__name__}); "
                "move it away and materialise raw_messages for this day again"
            ) from error

    def _replace(self, path: Path, frame: pl.DataFrame) -> None:
        """Write beside the file, flush to disk, then rename: a kill leaves the old or the new."""
        beside = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            frame.write_parquet(beside, compression="zstd", compression_level=3)
            if not frame.is_empty():
                with beside.open("rb") as file:
                    os.fsync(file.fileno())
            beside.replace(path)
        except OSError as error:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            raise ArchiveError(
                f"cannot write {path}: {error.strerror}; free space or fix the permissions, then "
                "run the same days again (what was read before is kept)"
            ) from error
