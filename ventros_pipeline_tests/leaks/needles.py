"""An account and secrets that are all marked, and the one way to find a mark in any bytes.

What belongs here: marks, and seeing through encodings and compression. What does not: where to
look.

Each text that must not leak begins with a mark of its kind, so that a piece of it is found, too,
and a number has digits that nothing else has, however it is written.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

import polars as pl

from ventros_pipeline_tests.import_.world import at, message

# A text that people wrote, a name, a number or other address of a person, a key of a file or
# message on WhatsApp's side, and what opens a door of this installation.
BODY, NAME, PHONE, MEDIA, KEY = "body", "name", "phone", "media key", "key"
KINDS = (BODY, NAME, PHONE, MEDIA, KEY)
_LETTERS = {"b": BODY, "n": NAME, "m": MEDIA, "k": KEY}
_MARK = re.compile(rb"zq([bnmk])[0-9a-f]{8}")
# `+55 11 98765-4001`, `5511987654001@c.us`, and without the country; a LID.
_PHONE = re.compile(rb"11\D{0,3}98765\D?4\d{3}|2107654\d{8}")
_numbers = count(1)


@dataclass(frozen=True)
class Needle:
    """What was found: its kind, and itself as far as it is known."""

    kind: str
    text: str


def marked(letter: str, rest: str = "") -> str:
    """Return a text that is found wherever it turns up."""
    return f"zq{letter}{hashlib.sha256(str(next(_numbers)).encode()).hexdigest()[:8]}{rest}"


def found_in(data: bytes, secrets: tuple[str, ...] = ()) -> set[Needle]:
    """Return every needle in some bytes, also in what they are when they are unpacked.

    Args:
        secrets: keys that are looked for in base64, too, at any offset.
    """
    found = set[Needle]()
    for text in _unpacked(data):
        found |= {Needle(_LETTERS[m[1].decode()], m[0].decode()) for m in _MARK.finditer(text)}
        found |= {Needle(PHONE, m[0].decode(errors="replace")) for m in _PHONE.finditer(text)}
        found |= {
            Needle(KEY, f"{secret} in base64")
            for secret in secrets
            if any(form in text for form in in_base64(secret))
        }
    return found


def in_base64(secret: str) -> list[bytes]:
    """Return how a text looks within base64, whatever stands before and after it."""
    forms = []
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + secret.encode()).rstrip(b"=")
        # The first and the last characters also hold bits of the neighbours.
        last = len(whole) - (1 if (before + len(secret)) % 3 else 0)
        forms.append(whole[(0, 2, 3)[before] : last])
    return forms


def _unpacked(data: bytes, depth: int = 0) -> Iterator[bytes]:
    yield data
    if depth == 3:
        return
    for inner in _inner(data):
        yield from _unpacked(inner, depth + 1)


def _inner(data: bytes) -> Iterator[bytes]:
    if data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)
    elif data[:4] == b"PAR1":
        yield from _cells(pl.read_parquet(io.BytesIO(data)))
    elif data[:6] == b"ARROW1":
        yield from _cells(pl.read_ipc(io.BytesIO(data)))
    elif data[:4] == b"\x28\xb5\x2f\xfd":
        raise AssertionError("nothing here can look into bare zstd")
    elif data[:1] == b"x":
        with suppress(zlib.error):
            yield zlib.decompress(data)


def _cells(frame: pl.DataFrame) -> Iterator[bytes]:
    for column in frame.iter_columns():
        values = column.drop_nulls().to_list()
        yield b"\n".join(v if isinstance(v, bytes) else str(v).encode() for v in values)


# -- the account ---------------------------------------------------------------------------------

ANA, BIA = "5511987654001@s.whatsapp.net", "5511987654002@s.whatsapp.net"
CAIO_LID, CAIO = "210765400000003@lid", "5511987654003@s.whatsapp.net"
DORA_LID = "210765400000004@lid"
# Groups of the old kind are named by their founder's number.
GROUP = "5511987654001-1400000000@g.us"
PEOPLE = (ANA, BIA, CAIO_LID, DORA_LID)
DAYS = range(1, 5)


def account() -> tuple[list[tuple[str, dict[str, Any] | bytes]], dict[str, Any]]:
    """Return rows for `write_account`, and its other arguments: all of it marked."""
    rows: list[tuple[str, dict[str, Any] | bytes]] = []
    for day in DAYS:
        for hour, chat in enumerate((*PEOPLE, GROUP), 9):
            stanza = f"3EB0{day:02d}{hour:02d}"
            when = at(f"2026-06-{day:02d} {hour:02d}:00")
            rows.append((chat, _row(chat, stanza, when, from_me=hour % 3 == 0)))
    rows += [
        (ANA, _picture("3EB0AAA0", at("2026-06-02 15:00"))),
        (ANA, _contact("3EB0AAA1", at("2026-06-02 15:01"))),
        # No message: it goes to quarantine, with all that is in it.
        (BIA, _nameless(at("2026-06-02 15:02"))),
        (BIA, _chatless(at("2026-06-02 15:03"))),
    ]
    others = {
        "lids": {CAIO_LID: CAIO},
        "contacts": [{"id": "5511987654001@c.us", "name": marked("n", " Ana")}],
        "groups": {
            GROUP: {
                "id": GROUP,
                "subject": marked("n", " group"),
                "participants": [{"id": ANA, "admin": "admin"}, {"id": DORA_LID}],
            }
        },
    }
    return rows, others


def _row(chat: str, stanza: str, when: int, *, from_me: bool) -> dict[str, Any]:
    text = marked("b", " tudo bem?\nliga 11 98765-4009 <b>já</b>")
    secret = {"messageContextInfo": {"messageSecret": marked("m", "A" * 24)}}
    return message(
        chat,
        stanza,
        when,
        text,
        from_me=from_me,
        ack=3 if from_me else None,
        participant=DORA_LID if chat == GROUP and not from_me else None,
        push_name=None if from_me else marked("n"),
        content={"conversation": text, **secret},
    )


def _picture(stanza: str, when: int) -> dict[str, Any]:
    node = {
        "mimetype": "image/jpeg",
        "fileLength": 2000,
        "caption": marked("b"),
        "mediaKey": marked("m", "A" * 32),
        "jpegThumbnail": marked("m", "A" * 40),
    }
    return message(ANA, stanza, when, None, content={"imageMessage": node}, hasMedia=True)


def _contact(stanza: str, when: int) -> dict[str, Any]:
    name = marked("n")
    card = f"BEGIN:VCARD\nFN:{name}\nTEL;waid=5511987654010:+55 11 98765-4010\nEND:VCARD"
    node = {"displayName": name, "vcard": card}
    return message(ANA, stanza, when, None, content={"contactMessage": node}, vCards=[card])


def _nameless(when: int) -> bytes:
    return b'{"timestamp":%d,"from":"5511987654002@c.us","body":"%s","mediaKey":"%s"}' % (
        when,
        marked("b").encode(),
        marked("m").encode(),
    )


def _chatless(when: int) -> bytes:
    row = b'{"id":"3EB0FFFF","timestamp":%d,"pushName":"%s","body":"%s"}'
    return row % (when, marked("n").encode(), marked("b").encode())
