"""Inputs that hypothesis draws: bytes, spellings of addresses, JSON with the names that we read.

What belongs here: what may come. What does not: what is promised for it (`laws.py`), and what once
broke a promise (`seeds/`).
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

_NAMES = st.sampled_from(
    [
        *("id", "_serialized", "timestamp", "from", "to", "participant", "author", "fromMe"),
        *("body", "caption", "ack", "ackName", "hasMedia", "media", "mimetype", "url", "type"),
        *("_data", "key", "remoteJid", "remoteJidAlt", "participantAlt", "Info", "SenderAlt"),
        *("message", "conversation", "protocolMessage", "editedMessage", "viewOnceMessage"),
        *("mediaKey", "messageSecret", "jpegThumbnail", "THUMBNAIL", "media\0Key", "replyTo"),
        *("event", "session", "payload", "me", "engine", "vCards", "location", "latitude"),
    ]
)
_DIGITS = st.text("0123456789", max_size=18)
_ADDRESSES = st.builds(
    "{}{}@{}".format,
    _DIGITS,
    st.sampled_from(["", ":1", "_1:2", "-1600000000"]),
    st.sampled_from(["c.us", "s.whatsapp.net", "lid", "g.us", "newsletter", "broadcast", ""]),
)
_IDS = st.builds(
    "{}_{}_{}{}".format,
    st.sampled_from(["true", "false", "TRUE", ""]),
    _ADDRESSES,
    st.text("0123456789ABCDEF_", max_size=32),
    st.one_of(st.just(""), st.builds("_{}".format, _ADDRESSES)),
)
_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, -1, 1782820800, 1782820800000, 5e-324, 1e308, float("nan"), float("inf")]),
    st.floats(),
    st.text(max_size=30),
    _ADDRESSES,
    _IDS,
)
_JSON: st.SearchStrategy[Any] = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(_NAMES, st.text()), inner)
    ),
    max_leaves=40,
)
_WRITTEN = st.builds(
    lambda value, escaped, indent: json.dumps(value, ensure_ascii=escaped, indent=indent).encode(
        errors="surrogatepass"
    ),
    _JSON,
    st.booleans(),
    st.sampled_from([None, 0, 3]),
)
_TORN = st.builds(
    lambda data, place, between: data[: place % (len(data) + 1)] + between + data[place:],
    _WRITTEN,
    st.integers(0, 2_000),
    st.binary(max_size=3),
)

ANYTHING: st.SearchStrategy[bytes] = st.one_of(
    st.binary(max_size=400),
    st.one_of(_ADDRESSES, _IDS, st.text()).map(lambda text: text.encode(errors="surrogatepass")),
    _WRITTEN,
    _TORN,
)
