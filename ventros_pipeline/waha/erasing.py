"""Rows of people who were erased: which these are, and what of a person stands in rows of others.

What belongs here: where a row names people. What does not: who was erased (`crm/erasure.py`).

A row is a person's own when the person is its chat or its sender. Any other row that names the
person (a mention, an answer to it, a receipt, a card) stays, for it is somebody else's, without the
address and without what it quotes of the person.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ventros_pipeline.waha.ids import normalise
from ventros_pipeline.waha.jsontext import repair

# In JSON text a sign may also be written as an escape.
_ADDRESS = re.compile(
    r"(?<![0-9])([0-9]{5,20})(?:_[0-9]+)?(?::[0-9]+)?(@(?:s\.whatsapp\.net|c\.us|hosted\.lid|hosted|lid))",
    re.IGNORECASE | re.ASCII,
)
_CARD = re.compile(r"waid=([0-9]{5,20})", re.IGNORECASE | re.ASCII)
_ESCAPED = re.compile(rb"\\u00")
_OWNERS = ("id", "from", "to", "participant", "author")
_INNER_OWNERS = (*_OWNERS, "key", "Info", "remoteJid", "remote")
_QUOTES = ("replyto", "quotedmessage", "quotedmsg")
_EMPTY_CARD = "BEGIN:VCARD\nVERSION:3.0\nEND:VCARD"


@dataclass(frozen=True)
class Eraser:
    """Takes people out of rows.

    Attributes:
        is_erased: whether a normalised address is one of them.
    """

    is_erased: Callable[[str], bool]

    def clean(self, raw: bytes) -> bytes | None:
        """Return a row without the erased people; None when the row is one's own.

        A row that names nobody of them is returned as it is. One that does and cannot be read is
        nobody's to keep.
        """
        text = raw.decode(errors="replace")
        if _ESCAPED.search(raw):
            row = _read(raw)
            text = json.dumps(row, ensure_ascii=False) if row is not None else text
        erased = {a for a in _addresses(text) if self.is_erased(a)}
        if not erased:
            return raw
        row = _read(raw)
        if not isinstance(row, dict) or erased & set(_addresses(_owners(row))):
            return None
        digits = "|".join(sorted({address.partition("@")[0] for address in erased}))
        redactor = _Redactor(re.compile(rf"(?<![0-9])(?:{digits})(?![0-9])"))
        return json.dumps(redactor.redact(row), ensure_ascii=True, separators=(",", ":")).encode()

    def names(self, raw: bytes) -> bool:
        """Return whether a row names any of them."""
        return self.clean(raw) is not raw


@dataclass(frozen=True)
class _Redactor:
    """Takes some digits out of a row of somebody else."""

    digits: re.Pattern[str]

    def redact(self, value: Any, name: str = "") -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self.redact(item, name) for item in value]
        if not isinstance(value, dict):
            return value
        named = [key for key, item in value.items() if self._is_theirs(item)]
        if named and name.lower() in _QUOTES:
            return {key: self._text(value[key]) for key in named}
        cards = any(self._is_their_card(item) for item in value.values())
        quotes = any("participant" in key.lower() for key in named)
        return {
            self._text(key): self.redact(item, key)
            for key, item in value.items()
            if not (quotes and key.lower() in _QUOTES) and not (cards and "name" in key.lower())
        }

    def _is_theirs(self, item: Any) -> bool:
        return isinstance(item, str) and len(item) < 200 and bool(self.digits.search(item))

    def _is_their_card(self, item: Any) -> bool:
        is_card = isinstance(item, str) and "BEGIN:VCARD" in item.upper()
        return is_card and bool(self.digits.search(item))

    def _text(self, text: str) -> str:
        if self._is_their_card(text):
            return _EMPTY_CARD
        return self.digits.sub("0", text)


def _addresses(text: str) -> Iterator[str]:
    for digits, server in _ADDRESS.findall(text):
        if address := normalise(f"{digits}{server}"):
            yield address
    for digits in _CARD.findall(text):
        yield f"{digits}@c.us"


def _owners(row: dict[str, Any]) -> str:
    """Return the parts of a row that say whose it is, as text."""
    told = [row.get(name) for name in _OWNERS]
    if isinstance(data := row.get("_data"), dict):
        told += [data.get(name) for name in _INNER_OWNERS]
    return json.dumps(told)


def _read(raw: bytes) -> Any:
    try:
        return json.loads(repair(raw))
    except (ValueError, RecursionError):
        return None
