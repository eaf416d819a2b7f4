"""Query strings and path parts read with the conversions and complaints of WAHA.

Belongs here: JavaScript's idea of a number, booleans, enums, the 400 messages, percent decoding.
Does not belong here: what a parameter means for an endpoint.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote_to_bytes

from ventros_pipeline.replay.wire import refuse

_BROKEN_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_RADIX = re.compile(r"0(?:[xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)")
_TRUE = frozenset({"true", "True", "1"})
_FALSE = frozenset({"false", "False", "0"})


def decode_part(part: str) -> str:
    """Percent-decode one path part; a broken escape is WAHA's 400."""
    try:
        decoded = unquote_to_bytes(part).decode()
    except UnicodeError:
        decoded = None
    if decoded is None or _BROKEN_PERCENT.search(part):
        raise refuse(400, f"Failed to decode param '{part}'")
    return decoded


def js_number(text: str) -> float:
    """Convert as JavaScript's `Number(text)` does; NaN when it is none."""
    text = text.strip()
    if not text:
        return 0.0
    if _RADIX.fullmatch(text):
        return float(int(text, 0))
    return float(text) if _DECIMAL.fullmatch(text) else math.nan


@dataclass
class Query:
    """A query string; reading from it collects complaints, `done` raises them."""

    values: dict[str, list[str]]
    complaints: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, raw: bytes) -> "Query":
        """Split a raw query string, keeping repeated names."""
        values: dict[str, list[str]] = {}
        for name, value in parse_qsl(raw.decode("latin-1"), keep_blank_values=True):
            values.setdefault(name.removesuffix("[]"), []).append(value)
        return cls(values)

    def echo(self) -> dict[str, str | list[str]]:
        """Return the query as WAHA echoes it in a 500."""
        return {name: all_[0] if len(all_) == 1 else all_ for name, all_ in self.values.items()}

    def text(self, name: str) -> str | None:
        """Return a parameter as text (repeated ones joined, as JavaScript does)."""
        found = self.values.get(name)
        return None if found is None else ",".join(found)

    def many(self, name: str) -> list[str] | None:
        """Return every value of a repeated parameter."""
        return self.values.get(name)

    def number(self, name: str, default: float | None = None) -> float | None:
        """Return a number; anything else, or a repeated parameter, is complained about."""
        found = self.values.get(name)
        if found is None:
            return default
        value = js_number(found[0]) if len(found) == 1 else math.nan
        if not math.isfinite(value):
            self.complaints.append(
                f"{name} must be a number conforming to the specified constraints"
            )
            return default
        return value

    def boolean(self, name: str, default: bool | None = None) -> bool | None:
        """Return a boolean; only true, false, 1, 0, True and False are accepted."""
        text = self.text(name)
        if text is None or text in _TRUE or text in _FALSE:
            return default if text is None else text in _TRUE
        self.complaints.append(f"{name} must be a boolean value")
        return default

    def choice(self, name: str, allowed: Iterable[str]) -> str | None:
        """Return one of the allowed words."""
        text = self.text(name)
        options = tuple(allowed)
        if text is not None and text not in options:
            self.complaints.append(
                f"{name} must be one of the following values: {', '.join(options)}"
            )
        return text

    def done(self) -> None:
        """Raise the 400 when anything was complained about."""
        if self.complaints:
            raise refuse(400, self.complaints)
