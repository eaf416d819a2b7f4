"""What must never reach the archive: media keys, message secrets, thumbnails.

What belongs here: the names of such fields and their removal from a row's JSON text. What does not:
the archive itself, and the API key (the client holds it, hidden from `repr`).
"""

from __future__ import annotations

import re

from ventros_pipeline.waha.jsontext import value_end

# The engines write them as mediaKey, messageSecret, jpegThumbnail (NOWEB, WEBJS), JPEGThumbnail
# (GOWS) and thumbnail (the location of every engine). A key must follow `{` or `,` and its quote
# must be bare: inside a string every quote has a backslash before it, and a quote that closes a
# string is never followed by a letter, so text that talks about "mediaKey" cannot match.
_NAMES = rb"(?:media_?key|message_?secret|jpeg_?thumbnail|png_?thumbnail|thumbnail)"
_SECRET = re.compile(
    # To begin with one quote and one letter takes half the time of beginning with `[{,]\s*`.
    rb'"(?=[mjpt])' + _NAMES + rb'"\s*:\s*+(?!null[\s,}])',
    re.IGNORECASE,
)
# What a name can hide behind: a letter written as an escape, or a U+0000 in it, which is removed
# before the row is read. WAHA writes neither; a fuzzer did.
_HIDDEN = re.compile(rb"\\u00[04-7]|\x00")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SPELLED = re.compile(rb"\\u00([0-7][0-9a-fA-F])|\\[^u]", re.DOTALL)
_ONE_NAME = re.compile(rb'"' + _NAMES + rb'"', re.IGNORECASE)


def strip_secrets(raw: bytes) -> bytes:
    """Replace the value of every secret or thumbnail field by `null`, at any depth.

    The rest of the text stays byte for byte, so that the archive keeps what WAHA said; but where a
    name hides behind escapes, it is written out first. The value may be a string
    (GOWS), `{"type":"Buffer",…}` (NOWEB), an index-keyed object `{"0":12,…}` (WEBJS), or anything
    nested: it is skipped by counting brackets outside strings, not by a parser, so deep nesting
    costs nothing.

    Args:
        raw: JSON text of one row, or of any value.

    Returns:
        The same text without secrets.
    """
    if _HIDDEN.search(raw):
        raw = _STRING.sub(_shown, raw.replace(b"\x00", b""))
    parts: list[bytes] = []
    kept = 0
    while match := _next_secret(raw, kept):
        parts += (raw[kept : match.end()], b"null")
        kept = value_end(raw, match.end())
    if not parts:
        return raw
    parts.append(raw[kept:])
    return b"".join(parts)


def _next_secret(raw: bytes, start: int) -> re.Match[bytes] | None:
    for match in _SECRET.finditer(raw, start):
        before = match.start() - 1
        while raw[before : before + 1].isspace():
            before -= 1
        if raw[before : before + 1] in (b"{", b","):
            return match
    return None


def _shown(match: re.Match[bytes]) -> bytes:
    """Return a string as it is, or the name of a secret that it is for whoever reads it."""
    written = _SPELLED.sub(_letter, match[0])
    return written if _ONE_NAME.fullmatch(written) else match[0]


def _letter(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 16)]).strip(b"\0") if match[1] else match[0]
