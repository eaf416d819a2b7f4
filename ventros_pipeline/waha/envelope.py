"""The little that must be known of a row before it is archived: its name and its time.

What belongs here: the two members that decide in which file a row lies. What a message means is
read from the archive later (`wire.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from ventros_pipeline.waha.jsontext import repair
from ventros_pipeline.waha.pages import PlainTime, decode_plain, timestamp_of
from ventros_pipeline.waha.wire import LONGEST_ID


class _Head(msgspec.Struct):
    id: Any = None


class _PlainHead(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_ID)]
    timestamp: PlainTime


_DECODER = msgspec.json.Decoder(_Head)
_PLAIN_HEADS = msgspec.json.Decoder(list[_PlainHead])
# What `repair` removes, and with it may make another name of a member or of the row.
_ZEROS = (b"\\u0000", b"\x00")


@dataclass(frozen=True)
class Envelope:
    """A row's name and time.

    Attributes:
        row_key: WAHA's id, verbatim; a hash of the row where it has none that can be read and
            indexed.
        timestamp: epoch seconds as WAHA said; null where it said nothing usable.
    """

    row_key: str
    timestamp: float | None


def envelope_of(row: bytes) -> Envelope:
    """Return the envelope of one raw row. Never raises: a row that cannot be read is kept, too."""
    try:
        name = _DECODER.decode(repair(row)).id
    except (msgspec.MsgspecError, RecursionError):
        name = None
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_ID:
        name = "sha256:" + hashlib.sha256(row).hexdigest()
    return Envelope(name, timestamp_of(row))


def envelopes_of(rows: Sequence[bytes]) -> tuple[list[str], list[float | None]]:
    """Return the names and the times of rows: `envelope_of` of each.

    Where all are as they should be they are decoded at once, in a fifth of the time: 0.9 s for a
    million rows, not 4.7.
    """
    plain = decode_plain(_PLAIN_HEADS, rows)
    if plain is None or any(zero in row for zero in _ZEROS for row in rows):
        each = [envelope_of(row) for row in rows]
        return [one.row_key for one in each], [one.timestamp for one in each]
    return [head.id for head in plain], [head.timestamp for head in plain]
