"""Rows of WAHA as a frame: one shape for four engines, and no row that can stop a page.

What belongs here: where each engine keeps a fact of a message. What does not: kinds and contents
(`content.py`), and meaning: status, people, time that can be trusted, duplicates (`transform/`).

The engine is told from each row's `_data`, not from configuration: an archive may hold years of
two engines. Every field but the id may be missing or of the wrong type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import polars as pl

from ventros_pipeline.waha.content import (
    GOWS_FLAGS,
    MEDIA_KINDS,
    Json,
    ad_of,
    address_of,
    bytes_text,
    details_of,
    integer,
    kind_of_content,
    kind_of_type,
    list_of,
    looks_like_blob,
    object_of,
    pick,
    reactions_of,
    real,
    seconds_of,
    stanza_of,
    text_of,
    unwrap,
)
from ventros_pipeline.waha.ids import AddressKind, MessageId, kind_of, parse_message_id
from ventros_pipeline.waha.jsontext import repair

_COLUMNS: Mapping[str, pl.DataType] = {
    "index": pl.Int64(),
    "waha_id": pl.String(),
    "stanza_id": pl.String(),
    "chat": pl.String(),
    "from_me": pl.Boolean(),
    "sender": pl.String(),
    "chat_alt": pl.String(),
    "sender_alt": pl.String(),
    "timestamp": pl.Int64(),
    "timestamp_raw": pl.String(),
    "ack": pl.Int8(),
    "raw_kind": pl.String(),
    "text": pl.String(),
    "media_mimetype": pl.String(),
    "media_filename": pl.String(),
    "media_sha256": pl.String(),
    "media_url": pl.String(),
    "media_size": pl.Int64(),
    "media_seconds": pl.Int64(),
    "has_media": pl.Boolean(),
    "reply_to": pl.String(),
    "reply_participant": pl.String(),
    "mentions": pl.List(pl.String()),
    "latitude": pl.Float64(),
    "longitude": pl.Float64(),
    "location_name": pl.String(),
    "location_address": pl.String(),
    "vcards": pl.List(pl.String()),
    "push_name": pl.String(),
    "forwarded": pl.Boolean(),
    "edited": pl.Boolean(),
    "edited_at": pl.Int64(),
    "revoked_stanza_id": pl.String(),
    "wrappers": pl.List(pl.String()),
    "ad": pl.String(),
    "details": pl.String(),
}
MESSAGE_SCHEMA = pl.Schema(_COLUMNS)

# A stanza id has about 20 characters and an address about 30. What is far longer is no id, and no
# index of Postgres takes it (2,704 bytes, four to a character): one such row stopped its window.
LONGEST_ID = 500

# A text of WhatsApp has 65,536 characters at most, and a row of the fullest about 300 KB. What is
# beyond this is no message; it would be several times as large while it is decoded.
LARGEST_ROW = 4 * 1024 * 1024

_ACK_BY_NAME = {"ERROR": -1, "PENDING": 0, "SERVER": 1, "DEVICE": 2, "READ": 3, "PLAYED": 4}
_SENDER_ALTS = ("participantAlt", "participantPn", "participantLid", "senderPn", "senderLid")
_MANY_PEOPLE = frozenset(
    {AddressKind.GROUP, AddressKind.STATUS, AddressKind.BROADCAST, AddressKind.NEWSLETTER}
)


@dataclass(frozen=True)
class Rejected:
    """A row that cannot be a message.

    Attributes:
        index: its position in the payloads.
        reason: `not_json`, `too_deep`, `too_large`, `not_an_object`, `no_id`, `no_chat` or
            `id_too_long`.
    """

    index: int
    reason: str


@dataclass(frozen=True)
class Decoded:
    """Decoded rows (`MESSAGE_SCHEMA`, in the payloads' order) and those that are no message."""

    frame: pl.DataFrame
    rejected: list[Rejected]


class _Row(msgspec.Struct):
    """The hot fields of a WAMessage; `Any` because every one of them has been seen broken."""

    id: Any = None
    timestamp: msgspec.Raw = msgspec.Raw(b"null")
    from_: Any = msgspec.field(name="from", default=None)
    to: Any = None
    participant: Any = None
    from_me: Any = msgspec.field(name="fromMe", default=None)
    body: Any = None
    has_media: Any = msgspec.field(name="hasMedia", default=None)
    media: Any = None
    ack: Any = None
    ack_name: Any = msgspec.field(name="ackName", default=None)
    location: Any = None
    vcards: Any = msgspec.field(name="vCards", default=None)
    reply_to: Any = msgspec.field(name="replyTo", default=None)
    data: Any = msgspec.field(name="_data", default=None)


class _Name:
    """WAHA's id, taken apart only when nothing else says what it does: 2 s a million rows less."""

    __slots__ = ("_parts", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts: MessageId | None = None

    @property
    def parts(self) -> MessageId:
        if self._parts is None:
            self._parts = parse_message_id(self.text)
        return self._parts


class _Core(NamedTuple):
    """What an engine says about who, where and which message.

    Attributes:
        many: whether the conversation is one of many people; sender and its other address are
            known only then.
    """

    stanza: str | None
    chat: str | None
    many: bool
    from_me: bool
    sender: str | None
    chat_alt: str | None
    sender_alt: str | None
    push_name: str | None


class _Content(NamedTuple):
    """What an engine says about what: the kind and where its facts are."""

    kind: str
    content: Json
    context: Json
    wrappers: list[str]
    edited: bool
    edited_at: int | None
    revoked: str | None
    text: str | None


_DECODER = msgspec.json.Decoder(_Row)


def decode_rows(payloads: list[bytes], own_addresses: Collection[str]) -> Decoded:
    """Decode messages of any engine.

    Args:
        payloads: JSON text of each WAMessage, as WAHA sent it or as the archive kept it.
        own_addresses: the account's own addresses, normalised. In groups with LID addressing WAHA
            may say `fromMe: false` of an own message; its participant tells.

    Returns:
        A frame with one row per message, in the order of the payloads, and the rejected rows. Never
        raises for what a row holds: U+0000 is removed, a lone surrogate becomes U+FFFD, an unknown
        kind is kept as `unknown:<its name>`. `media_sha256` is base64 as WhatsApp writes it, sizes
        are bytes, `media_seconds`, `timestamp` and `edited_at` are seconds.
    """
    own = frozenset(own_addresses)
    rows: list[tuple[Any, ...]] = []
    rejected: list[Rejected] = []
    for index, payload in enumerate(payloads):
        row = _parse(payload)
        fields = row if isinstance(row, str) else _fields(row, index, own)
        if isinstance(fields, str):
            rejected.append(Rejected(index, fields))
        else:
            rows.append(fields)
    columns = zip(*rows, strict=True) if rows else ([] for _ in MESSAGE_SCHEMA)
    frame = pl.DataFrame(
        {
            name: _series(name, list(values), dtype)
            for (name, dtype), values in zip(_COLUMNS.items(), columns, strict=True)
        }
    )
    return Decoded(frame, rejected)


def _series(name: str, values: list[Any], dtype: pl.DataType) -> pl.Series:
    if isinstance(dtype, pl.List):
        # Four times faster than giving the type at once, which builds a series for every row.
        return pl.Series(name, values).cast(dtype)
    return pl.Series(name, values, dtype=dtype, strict=True)


def _parse(payload: bytes) -> _Row | str:
    """Return the row, or why it is none."""
    if len(payload) > LARGEST_ROW:
        return "too_large"
    if b"\\u" not in payload and b"\x00" not in payload:
        # Nothing to repair but bytes that are not UTF-8, and those do not pass.
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return _DECODER.decode(payload)
    text = repair(payload)
    try:
        return _DECODER.decode(text)
    except RecursionError:
        return "too_deep"
    except msgspec.ValidationError:
        return _rescue(text) if text.lstrip()[:1] == b"{" else "not_an_object"
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "not_json"


def _rescue(text: bytes) -> _Row | str:
    """Read a row whose numbers do not fit 64 bits (5,000 digits, 1e400): those become null."""
    try:
        row = json.loads(text, parse_int=_small_int, parse_float=real)
        return _DECODER.decode(msgspec.json.encode(row))
    except RecursionError:
        return "too_deep"
    except (ValueError, msgspec.MsgspecError):
        return "not_json"


def _small_int(digits: str) -> int | None:
    return integer(int(digits)) if len(digits) < 40 else None


def _fields(row: _Row, index: int, own: frozenset[str]) -> tuple[Any, ...] | str:
    """Return one value per column, or why the row is no message."""
    data = object_of(row.data)
    waha_id = _serialized(row.id)
    if waha_id is None:
        return "no_id"
    name = _Name(waha_id)
    core = _core(row, data, name)
    if core.chat is None:
        return "no_chat"
    sender, sender_alt = core.sender, core.sender_alt
    from_me = core.from_me or (core.many and not own.isdisjoint((sender, sender_alt)))
    what = _content(row, data)
    text_time = bytes(row.timestamp).decode(errors="replace").strip()
    timestamp = _timestamp(text_time)
    reply, reply_participant = _reply(row, data, what.context)
    ids = (waha_id, core.stanza, core.chat, sender, core.chat_alt, sender_alt, reply, what.revoked)
    if any(len(one) > LONGEST_ID for one in ids if one):
        return "id_too_long"
    latitude, longitude, place, address = _location(row, what)
    media = _media(row, data, what)
    return (
        index,
        waha_id,
        core.stanza or name.parts.stanza,
        core.chat,
        from_me,
        sender,
        core.chat_alt if not core.many and core.chat_alt != core.chat else None,
        sender_alt if sender_alt != sender else None,
        timestamp,
        text_time,
        _ack(row.ack, row.ack_name),
        what.kind,
        what.text,
        *media,
        row.has_media is True,
        reply,
        reply_participant,
        _addresses(pick(what.context, "mentionedJid", "mentionedJID") or _webjs_mentions(data)),
        latitude,
        longitude,
        place,
        address,
        _vcards(row, what),
        core.push_name,
        _forwarded(what.context, data),
        what.edited,
        # An edit on NOWEB moves the row's own time to the moment of the edit.
        (what.edited_at or timestamp) if "editedMessage" in what.wrappers else what.edited_at,
        what.revoked,
        what.wrappers,
        ad_of(what.context, data) if what.context or "ctwaContext" in data else None,
        details_of(what.kind, what.content, reactions_of(data) if "reactions" in data else []),
    )


def _serialized(value: object) -> str | None:
    """Return WAHA's id as text; WEBJS' own models carry an object, since July 2026 with `$1`."""
    if not isinstance(value, dict):
        return text_of(value)
    whole = text_of(value.get("_serialized")) or text_of(value.get("$1"))
    chat, stanza = address_of(value.get("remote")), text_of(value.get("id"))
    if whole or not chat or not stanza:
        return whole
    participant = address_of(value.get("participant"))
    start = f"{str(value.get('fromMe') is True).lower()}_{chat}_{stanza}"
    return f"{start}_{participant}" if participant else start


def _core(row: _Row, data: Json, name: _Name) -> _Core:
    key, info = data.get("key"), data.get("Info")
    if isinstance(key, dict):
        return _noweb_core(row, data, key, name)
    if isinstance(info, dict):
        return _gows_core(row, info, name)
    return _webjs_core(row, data, name)


def _noweb_core(row: _Row, data: Json, key: Json, name: _Name) -> _Core:
    from_me = _direction(row.from_me, key.get("fromMe"), name)
    alt = address_of(key.get("remoteJidAlt"))
    if alt is None and not from_me:
        # Before `remoteJidAlt` Baileys told the sender's other address, which in a chat of two is
        # the chat's only when the message is not our own.
        alt = address_of(pick(key, "senderPn", "senderLid"))
    chat = address_of(row.from_) or address_of(key.get("remoteJid")) or name.parts.chat
    sender = sender_alt = None
    if many := _is_of_many(chat):
        sender = address_of(row.participant) or address_of(key.get("participant"))
        sender = sender or name.parts.participant
        sender_alt = address_of(pick(key, *_SENDER_ALTS))
    return _Core(
        text_of(key.get("id")),
        chat,
        many,
        from_me,
        sender,
        alt,
        sender_alt,
        text_of(data.get("pushName")),
    )


def _gows_core(row: _Row, info: Json, name: _Name) -> _Core:
    from_me = _direction(row.from_me, info.get("IsFromMe"), name)
    other = address_of(info.get("SenderAlt"))
    chat = address_of(info.get("Chat")) or name.parts.chat or address_of(row.from_)
    sender = None
    if many := _is_of_many(chat):
        sender = address_of(row.participant) or name.parts.participant
        sender = sender or address_of(info.get("Sender"))
    return _Core(
        text_of(info.get("ID")),
        chat,
        many,
        from_me,
        sender,
        address_of(info.get("RecipientAlt")) if from_me else other,
        other if many else None,
        text_of(info.get("PushName")),
    )


def _webjs_core(row: _Row, data: Json, name: _Name) -> _Core:
    """WEBJS and WPP, and rows whose `_data` says nothing."""
    key = object_of(data.get("id"))
    from_me = _direction(row.from_me, key.get("fromMe"), name)
    other = row.to if from_me else row.from_
    chat = address_of(key.get("remote")) or name.parts.chat or address_of(other)
    sender = None
    if many := _is_of_many(chat):
        sender = address_of(row.participant) or address_of(key.get("participant"))
        sender = sender or name.parts.participant or address_of(data.get("author"))
    return _Core(
        text_of(key.get("id")),
        chat,
        many,
        from_me,
        sender,
        None,
        None,
        text_of(data.get("notifyName")),
    )


def _direction(top: object, inner: object, name: _Name) -> bool:
    for value in (top, inner):
        if isinstance(value, bool):
            return value
    return name.parts.from_me or False


def _is_of_many(chat: str | None) -> bool:
    return chat is not None and kind_of(chat) in _MANY_PEOPLE


def _content(row: _Row, data: Json) -> _Content:
    message = data.get("message", data.get("Message"))
    if isinstance(message, dict):
        return _proto_content(row, data, message)
    return _webjs_content(row, data)


def _proto_content(row: _Row, data: Json, message: Json) -> _Content:
    key, value, wrappers = unwrap(message)
    content = object_of(value)
    if "Info" in data:
        flags = [name for flag, name in GOWS_FLAGS.items() if data.get(flag) is True]
        wrappers = [name for name in flags if name not in wrappers] + wrappers
    kind = kind_of_content(key, content, wrappers)
    body = text_of(row.body)
    if body is None and kind in MEDIA_KINDS:
        body = text_of(content.get("caption"))
    elif body is None and kind == "text":
        body = text_of(value) or text_of(content.get("text"))
    return _Content(
        kind=kind,
        content=content,
        context=object_of(content.get("contextInfo")),
        wrappers=wrappers,
        edited="editedMessage" in wrappers,
        edited_at=None,
        revoked=stanza_of(content.get("key")) if kind == "revoked" else None,
        text=body,
    )


def _webjs_content(row: _Row, data: Json) -> _Content:
    kind = kind_of_type(data) or _kind_without_type(row)
    edited_at = seconds_of(data.get("latestEditSenderTimestampMs"))
    return _Content(
        kind=kind,
        content=data,
        context={},
        wrappers=[],
        edited=edited_at is not None or isinstance(data.get("latestEditMsgKey"), dict),
        edited_at=edited_at,
        revoked=stanza_of(data.get("protocolMessageKey")) if kind == "revoked" else None,
        text=_webjs_text(kind, row, data),
    )


def _kind_without_type(row: _Row) -> str:
    """Judge a row whose `_data` is empty or cut (trimmed events, newsletters) by its surface."""
    mimetype = text_of(object_of(row.media).get("mimetype")) or ""
    family = mimetype.partition("/")[0]
    if row.has_media is True:
        return family if family in ("image", "video", "audio") else "document"
    if list_of(row.vcards):
        return "contact" if len(row.vcards) == 1 else "contacts"
    if object_of(row.location):
        return "location"
    return "text" if text_of(row.body) else "unknown:empty"


def _webjs_text(kind: str, row: _Row, data: Json) -> str | None:
    """Return the text; WEBJS also puts thumbnails, vCards and file names into `body`."""
    body, caption = text_of(row.body), text_of(data.get("caption"))
    if kind in ("contact", "contacts") or body is None:
        return caption
    if kind in ("location", "live_location"):
        return None if looks_like_blob(body) or body == data.get("body") else body
    if kind not in MEDIA_KINDS:
        return body
    if caption:
        return caption
    hidden = looks_like_blob(body) or body == data.get("filename")
    expired = row.has_media is not True and body == data.get("body")
    return None if hidden or expired else body


_NUMBER = re.compile(r'"?\s*(-?[0-9]{1,400}(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,3})?)\s*"?')


def _timestamp(raw: str) -> int | None:
    """Return the whole number of a JSON number or numeric string, or None."""
    if raw.isascii() and raw.isdigit() and len(raw) < 19:
        return int(raw)
    match = _NUMBER.fullmatch(raw)
    if match is None:
        return None
    digits = match[1]
    return integer(int(digits) if digits.lstrip("-").isdigit() else digits)


def _ack(value: object, name: object) -> int | None:
    number = value if type(value) is int else real(value)
    if number is None and isinstance(name, str):
        return _ACK_BY_NAME.get(name)
    return int(number) if number is not None and number in (-1, 0, 1, 2, 3, 4) else None


def _reply(row: _Row, data: Json, context: Json) -> tuple[str | None, str | None]:
    """Return the quoted message's bare stanza id and its author.

    WAHA's own `replyTo` counts; a context that names a message but quotes nothing is no reply to
    WAHA and none here.
    """
    reply = object_of(row.reply_to)
    if stanza := stanza_of(reply.get("id")):
        return stanza, address_of(reply.get("participant"))
    if pick(context, "quotedMessage") is not None:
        return stanza_of(pick(context, "stanzaId", "stanzaID")), address_of(
            context.get("participant")
        )
    return stanza_of(data.get("quotedStanzaID")), address_of(data.get("quotedParticipant"))


def _location(
    row: _Row, what: _Content
) -> tuple[float | None, float | None, str | None, str | None]:
    if what.kind not in ("location", "live_location"):
        return None, None, None, None
    place, content = object_of(row.location), what.content
    name = text_of(place.get("name")) or text_of(content.get("name"))
    address = text_of(place.get("address")) or text_of(content.get("address"))
    written = text_of(content.get("loc"))
    if written and not name:
        name, _, rest = written.partition("\n")
        address = address or text_of(rest)
    return (
        real(pick(place, "latitude")) if place else real(pick(content, "degreesLatitude", "lat")),
        real(pick(place, "longitude")) if place else real(pick(content, "degreesLongitude", "lng")),
        text_of(name),
        address,
    )


def _media(
    row: _Row, data: Json, what: _Content
) -> tuple[str | None, str | None, str | None, str | None, int | None, int | None]:
    """Return mimetype, filename, sha256, url, size and seconds."""
    media = object_of(row.media)
    if what.kind not in MEDIA_KINDS and not media:
        return None, None, None, None, None, None
    content = what.content
    return (
        text_of(media.get("mimetype")) or text_of(content.get("mimetype")),
        text_of(media.get("filename")) or text_of(pick(content, "fileName", "filename", "title")),
        bytes_text(pick(content, "fileSha256", "fileSHA256", "filehash")),
        text_of(media.get("url")),
        integer(pick(content, "fileLength", "size")),
        integer(pick(content, "seconds", "duration")),
    )


def _vcards(row: _Row, what: _Content) -> list[str]:
    if what.kind not in ("contact", "contacts"):
        return []
    cards = [card for card in list_of(row.vcards) if text_of(card)]
    if cards:
        return cards
    items = [what.content, *list_of(pick(what.content, "contacts", "vcardList"))]
    cards = [card for item in items if (card := text_of(object_of(item).get("vcard")))]
    body = text_of(row.body)
    return cards or ([body] if body and body.startswith("BEGIN:VCARD") else [])


def _webjs_mentions(data: Json) -> Any:
    return data.get("mentionedJidList")


def _addresses(values: object) -> list[str]:
    return [address for value in list_of(values) if (address := address_of(value))]


def _forwarded(context: Json, data: Json) -> bool:
    if context.get("isForwarded") is True or data.get("isForwarded") is True:
        return True
    return bool(integer(context.get("forwardingScore")))
