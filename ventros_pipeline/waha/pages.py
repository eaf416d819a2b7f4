"""What every strategy of reading hands out and works with: pages, the time of a row, limits.

What belongs here: what the strategies share. What does not: a walk (`windows.py`, `perchat.py`) and
the choice between them (`reading.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol, TypeVar

import msgspec

from ventros_pipeline.waha.client import WahaClient

# Seconds between which timestamps have ten digits, so that the order of their text is the order of
# the numbers: 2001-09-09 to 2286-11-20.
ORDERED_FROM = 1_000_000_000
ORDERED_UNTIL = 10_000_000_000
# WhatsApp did not exist before 2009; the first trustworthy second.
FIRST_SECOND = 1_230_768_000
DAY = 86_400
# The largest page that is ever asked for: about 40 MB of JSON.
WIDEST = 32_768
# No server caps its pages below this; so many rows in one page are worth the question whether it
# was cut (`is_cut`).
PLAUSIBLE_CAP = 10
# A page with room for this many times its rows is taken for whole: `count < limit` proves nothing,
# since 1,995 visible rows and 5 dropped ones fill a page of 2,000.
ROOM = 4


@dataclass(frozen=True)
class Page:
    """Rows of one request that were not in an earlier page.

    Attributes:
        rows: JSON text of each row. The same message comes again only if its content changed.
        complete_before: every row with a timestamp below this second (epoch) has been yielded.
    """

    rows: list[bytes]
    complete_before: int


class Reader(Protocol):
    """A strategy that reads the messages of one session, whole."""

    def read(
        self,
        client: WahaClient,
        start: int,
        end: int,
        chats: Sequence[str] | None = None,
        *,
        outside: tuple[int, int] | None = None,
    ) -> Iterator[Page]:
        """Yield every row with `start <= timestamp < end` (epoch seconds).

        With `outside=(before, after)` also every row that has no numeric timestamp, or one that is
        not in `before <= timestamp < after`.
        """
        ...

    def oldest(self, client: WahaClient) -> int | None:
        """Return a second before which the session has no trustworthy time; None: no messages."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """Sentences for the run's metadata: what this server could not do, and what follows."""
        ...

    @property
    def ranges_are_cheap(self) -> bool:
        """Say whether a short, old range costs little; if not, read few and long ranges."""
        ...


class _Stamp(msgspec.Struct):
    timestamp: msgspec.Raw = msgspec.Raw(b"null")


_STAMP = msgspec.json.Decoder(_Stamp)
# The way out for a row that the parser refuses: WAHA writes `timestamp` right after `id`.
_STAMP_TEXT = re.compile(rb'^\s*\{\s*"id"\s*:\s*"[^"\\]*+"\s*,\s*"timestamp"\s*:\s*(-?[0-9.eE+-]+)')


def timestamp_of(row: bytes) -> float | None:
    """Return a row's timestamp if it is a finite JSON number, else None; never raises.

    Args:
        row: JSON text of a row.

    Returns:
        The number as it stands (WAHA means epoch seconds), or None for null, text, and rows that
        have none.
    """
    try:
        raw = bytes(_STAMP.decode(row).timestamp).strip()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = _STAMP_TEXT.match(row)
        raw = found[1] if found else b"null"
    if raw[:1] not in b"-0123456789":
        return None
    try:
        number = float(raw)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


Plain = TypeVar("Plain")
# Seconds that a float holds exactly, so that it is the same number whoever reads it.
PlainTime = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class _PlainStamp(msgspec.Struct):
    timestamp: PlainTime


_PLAIN_STAMPS = msgspec.json.Decoder(list[_PlainStamp])


def decode_plain(
    decoder: msgspec.json.Decoder[list[Plain]], rows: Sequence[bytes]
) -> list[Plain] | None:
    """Decode rows that all are as they should be at once; None where any of them is not.

    Args:
        decoder: of a list of what each row should be.
        rows: JSON text, each one element of an array.
    """
    try:
        found = decoder.decode(b"[" + b",".join(rows) + b"]")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found if len(found) == len(rows) else None


def timestamps_of(rows: Sequence[bytes]) -> list[float | None]:
    """Return `timestamp_of` of each row, in a third of the time where all are plain numbers."""
    plain = decode_plain(_PLAIN_STAMPS, rows)
    if plain is None:
        return [timestamp_of(row) for row in rows]
    return [stamp.timestamp for stamp in plain]


def second_of_row(row: bytes) -> int | None:
    """Return the whole second of a row, or None."""
    time = timestamp_of(row)
    return None if time is None else math.floor(time)


def placed(row: bytes, start: int, end: int) -> bool:
    """Say whether a row has a time, and one with `start <= time < end`."""
    time = timestamp_of(row)
    return time is not None and start <= time < end


def roomy(count: int, limit: int) -> bool:
    """Say whether a page has so much room left that only a desert of dropped rows could fill it."""
    return count <= limit // ROOM


def is_cut(rows: Sequence[bytes], ask: Callable[..., list[bytes]]) -> bool:
    """Ask once whether more rows lie behind a page that is shorter than it was allowed to be.

    Args:
        rows: the page.
        ask: repeats its request; called with `offset=`.
    """
    return len(rows) >= PLAUSIBLE_CAP and not set(rows).issuperset(ask(offset=len(rows)))
