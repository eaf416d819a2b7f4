"""Where bytes come from that a law is tried on first.

Each folder holds what once broke its law; beside it, every law has samples of what it is about.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from ventros_pipeline.demo import BUNDLED_ACCOUNT

_HERE = Path(__file__).parent
_PAYLOADS = Path(__file__).parents[4] / "shared" / "reference" / "payloads"
_ROWS = 40


def kept_in(law: str) -> Path:
    """Return the folder of what once broke a law."""
    folder = _HERE / law
    folder.mkdir(exist_ok=True)
    return folder


def samples(law: str) -> Iterator[bytes]:
    """Return what once broke a law, and samples of what it is about."""
    yield from (path.read_bytes() for path in sorted(kept_in(law).glob("*")) if path.is_file())
    yield from {"row": _rows, "page": _pages, "webhook": _events}.get(law, _addresses)()


def _rows() -> Iterator[bytes]:
    with gzip.open(BUNDLED_ACCOUNT / "messages.ndjson.gz") as lines:
        every = [json.loads(line)["message"] for line in lines]
    for message in every[:: len(every) // _ROWS]:
        yield json.dumps(message, ensure_ascii=len(message.get("body") or "") % 2 == 0).encode()
    for path in sorted(_PAYLOADS.glob("*.json")):
        if not path.name.startswith(("event", "error")):
            yield path.read_bytes()


def _pages() -> Iterator[bytes]:
    rows = list(_rows())
    yield b"[" + b",".join(rows[:3]) + b"]"
    yield b' [ "]" , {"a":[1,"[\\"",{}]} ,\n null ] '


def _events() -> Iterator[bytes]:
    yield from (path.read_bytes() for path in sorted(_PAYLOADS.glob("event*.json")))
    yield b'{"id":"evt_1","event":"message.any","session":"default","timestamp":1782820800000,'
    yield (
        b'{"id":"evt_1","event":"message.ack","session":"default","timestamp":1782820800000,'
        b'"payload":{"id":"true_5511980000001@c.us_3EB0AA","timestamp":1782820800}}'
    )


def _addresses() -> Iterator[bytes]:
    yield b"true_5511980000001@c.us_3EB0AABB_5511980000002:12@s.whatsapp.net"
    yield b"5511980000001_1:2@lid"
    yield b"120363000000000001@g.us"
    yield bytes([5, 5, 1, 1, 9, 8, 0, 0, 0, 0, 0, 0, 1])
    yield b"180d"
