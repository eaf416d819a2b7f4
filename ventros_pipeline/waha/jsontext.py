"""JSON text that WAHA sends and a strict parser refuses, mended or cut on the bytes.

What belongs here: repairs and cuts that need no knowledge of any field. What does not: secrets
(`secrets.py`) and fields (`wire.py`).
"""

from __future__ import annotations

import re

_BROKEN = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
# One alternative per kind of escape, in this order, so that the second backslash of an escaped
# backslash (`\\ud83d` in the JSON text) is consumed with the first and never starts an escape.
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|\\u([0-9a-fA-F]{4})"
    rb"|\\[^u]",
    re.DOTALL,
)
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{},]', re.DOTALL)


def repair(raw: bytes) -> bytes:
    r"""Remove U+0000 and turn lone surrogates into U+FFFD, on the JSON text itself.

    Postgres cannot hold U+0000, and a surrogate without its other half is no text; phones send
    both, and WAHA passes them as `\u0000` and `\ud83d`. Everything else stays byte for byte, and a
    text without such escapes is returned as it is.

    Args:
        raw: JSON text of one row.

    Returns:
        JSON text that decodes to clean strings. Bytes that are not UTF-8 become U+FFFD too.
    """
    if b"\x00" in raw:
        raw = raw.replace(b"\x00", b"")  # First, as it may stand within an escape.
    if b"\\u" in raw and _BROKEN.search(raw):
        raw = _ESCAPE.sub(_mend, raw)
    try:
        raw.decode()
    except UnicodeDecodeError:
        return raw.decode(errors="replace").encode()
    return raw


def _mend(match: re.Match[bytes]) -> bytes:
    digits = match[1]
    if digits == b"0000":
        return b""
    if digits is not None and digits[:1] in b"dD" and digits[1:2] in b"89abcdefABCDEF":
        return rb"\ufffd"
    return match[0]


def split_array(body: bytes) -> list[bytes]:
    """Cut a JSON array into the text of its elements without parsing them.

    The way out when one element of a page (lone surrogates, absurd nesting) would make a parser
    refuse the other 499.

    Args:
        body: JSON text of an array.

    Returns:
        One `bytes` per element, as it stands in the text.

    Raises:
        ValueError: the text is no complete array.
    """
    text = body.strip()
    if not text.startswith(b"["):
        raise ValueError("not an array")
    elements: list[bytes] = []
    depth, start = 0, 1
    for token in _TOKEN.finditer(text):
        mark = text[token.start() : token.start() + 1]
        if mark in (b"[", b"{"):
            depth += 1
        elif mark in (b"]", b"}"):
            depth -= 1
        if depth == 0 or (depth == 1 and mark == b","):
            elements.append(text[start : token.start()].strip())
            start = token.end()
        if depth == 0:
            break
    if depth or text[start:]:
        raise ValueError("the array does not end")
    return [] if elements == [b""] else elements


def has_more(body: bytes, most: int) -> bool:
    """Say whether an array has more than so many elements; ends as soon as that is known.

    Args:
        body: JSON text of an array; what is none has no elements.
        most: how many.
    """
    depth, commas = 0, 0
    for token in _TOKEN.finditer(body):
        mark = body[token.start() : token.start() + 1]
        if mark in (b"[", b"{"):
            depth += 1
        elif mark in (b"]", b"}"):
            depth -= 1
        elif depth == 1 and mark == b",":
            commas += 1
            if commas >= most:
                return True
    return False


def value_end(raw: bytes, start: int) -> int:
    """Return where the JSON value that starts at `start` ends; the end of the text if it does not.

    Args:
        raw: JSON text.
        start: index of the value's first byte.
    """
    if raw[start : start + 1] not in (b"{", b"["):
        if raw[start : start + 1] == b'"':
            token = _TOKEN.match(raw, start)
            return token.end() if token else len(raw)
        scalar = re.compile(rb"[^,\]}\s]*").match(raw, start)
        return scalar.end() if scalar else len(raw)
    depth = 0
    for token in _TOKEN.finditer(raw, start):
        mark = token[0]
        if mark in (b"{", b"["):
            depth += 1
        elif mark in (b"}", b"]"):
            depth -= 1
            if depth == 0:
                return token.end()
    return len(raw)
