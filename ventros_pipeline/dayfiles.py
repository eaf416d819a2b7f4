"""What stands in a file of the archive: a day, or the settled days of a month, as parquet.

What belongs here: the schema, its version, and files as bytes. What does not: where they lie, and
which file a day is read from (`archive.py`).

A file says which format it is of, in parquet's own metadata. Files that say nothing are of format
1; those of the first release lack the marks, and read as if nothing had ever been missed. A newer
release reads every older format. A file of a newer format is refused: an older release that read a
part of it would write that part back as the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from io import BytesIO

import polars as pl

from ventros_pipeline.stores import ArchiveError

# 2: the format is named, and days may lie together in the file of a month.
FORMAT = 2
_FORMAT_KEY, _DAYS_KEY = "ventros.format", "ventros.days"
# Enough of a file's end to hold its metadata: that of a month takes some 3,000 bytes.
TAIL_BYTES = 64 * 1024
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
# The same in all versions of a row.
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


class NewerArchiveError(ArchiveError):
    """A file of the archive was written by a newer release."""


def encode_day(frame: pl.DataFrame) -> bytes:
    """Return the file of one day; `frame` is of `SCHEMA`."""
    return _encoded(frame, {})


def encode_days(days: Mapping[date, pl.DataFrame]) -> bytes:
    """Return one file of several days, empty ones included; frames are of `SCHEMA`."""
    frames = [
        frame.select(pl.lit(day).alias("day"), pl.all()) for day, frame in sorted(days.items())
    ]
    names = " ".join(day.isoformat() for day in sorted(days))
    return _encoded(pl.concat(frames), {_DAYS_KEY: names})


def decode_day(content: bytes, name: str) -> pl.DataFrame:
    """Return a day from its file, as `SCHEMA`.

    Raises:
        ArchiveError: the file is damaged, or of a newer release.
    """
    _metadata(content, name)
    return _decoded(content, name, SCHEMA)


def decode_days(content: bytes, name: str) -> dict[date, pl.DataFrame]:
    """Return the days of a file of several, each as `SCHEMA`.

    Raises:
        ArchiveError: the file is damaged, or of a newer release.
    """
    days = days_in(content, name)
    found = _decoded(content, name, DAY_SCHEMA).partition_by(
        "day", as_dict=True, include_key=False, maintain_order=True
    )
    return {day: found.get((day,), SCHEMA.to_frame()) for day in days}


def days_in(tail: bytes, name: str) -> list[date]:
    """Return the days of a file of several; its last `TAIL_BYTES` are enough.

    Raises:
        ArchiveError: the file is damaged, or of a newer release.
    """
    names = _metadata(tail, name).get(_DAYS_KEY, "")
    return [date.fromisoformat(day) for day in names.split()]


def _encoded(frame: pl.DataFrame, metadata: dict[str, str]) -> bytes:
    content = BytesIO()
    frame.write_parquet(
        content,
        compression="zstd",
        compression_level=3,
        metadata={_FORMAT_KEY: str(FORMAT), **metadata},
    )
    return content.getvalue()


def _decoded(content: bytes, name: str, schema: pl.Schema) -> pl.DataFrame:
    try:
        return pl.read_parquet(content, schema=schema, missing_columns="insert")
    except pl.exceptions.PolarsError as error:
        raise _damaged(name, error) from error


def _metadata(content: bytes, name: str) -> dict[str, str]:
    try:
        metadata = pl.read_parquet_metadata(BytesIO(content))
        written = int(metadata.get(_FORMAT_KEY, "1"))
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise _damaged(name, error) from error
    if written > FORMAT:
        raise NewerArchiveError(
            f"{name} was written by a newer release of ventros-pipeline (format {written}; this "
            f"one reads up to {FORMAT}); install that release or a later one, and run the same "
            "again: nothing was changed"
        )
    return metadata


def _damaged(name: str, error: Exception) -> ArchiveError:
    return ArchiveError(
        f"{name} is damaged ({type(error).__name__}); move it away from the archive and "
        "materialise raw_messages for its days again"
    )
