"""The little that must be known of a row before it is archived: its name and its time.

What belongs here: the two members that decide in which file a row lies. What a message means is
read from the archive later (`wire.py`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec

from ventros_pipeline.waha.jsontext import repair
from ventros_pipeline.waha.reading import timestamp_of
from ventros_pipeline.waha.wire import LONGEST_ID


class _Head(msgspec.Struct):
    id: Any = None


_DECODER = msgspec.json.Decoder(_Head)


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
