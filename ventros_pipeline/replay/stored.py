"""What a stored row says: the one place that reads the NOWEB-shaped rows an account is kept in.

Belongs here: who, where, when, which kind and which content of a stored row, for the engines that
serve it in another shape and for the truth. Written for the replay server alone, so that it checks
the importer's own decoding instead of sharing it. Does not belong here: any engine's shape.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from ventros_pipeline.replay.ids import to_jid, to_shown

Json = dict[str, Any]

WRAPPERS = {
    "ephemeralMessage": "IsEphemeral",
    "viewOnceMessage": "IsViewOnce",
    "viewOnceMessageV2": "IsViewOnceV2",
    "viewOnceMessageV2Extension": "IsViewOnceV2Extension",
    "documentWithCaptionMessage": "IsDocumentWithCaption",
    "editedMessage": "IsEdit",
    "deviceSentMessage": "",
    "associatedChildMessage": "",
}
"""Wrappers around a content, and the flag GOWS leaves in their place."""

_KINDS = {
    "conversation": "text",
    "extendedTextMessage": "text",
    "imageMessage": "image",
    "videoMessage": "video",
    "ptvMessage": "video_note",
    "audioMessage": "audio",
    "documentMessage": "document",
    "stickerMessage": "sticker",
    "locationMessage": "location",
    "liveLocationMessage": "live_location",
    "contactMessage": "contact",
    "contactsArrayMessage": "contacts",
    "listMessage": "list",
    "listResponseMessage": "list_response",
    "buttonsResponseMessage": "buttons_response",
    "templateButtonReplyMessage": "template_reply",
    "eventMessage": "event",
    "groupInviteMessage": "group_invite",
    "protocolMessage": "revoked",
}
_ASIDE = "messageContextInfo"
NOTES = "_replay"
"""A field of stored rows that never leaves the server: what other engines than NOWEB remember."""


@dataclass(frozen=True)
class Stored:
    """A stored row, decoded."""

    message: Json

    @classmethod
    def parse(cls, text: bytes) -> "Stored":
        """Decode a row; lone surrogates, which `JSON.parse` takes, are taken here, too."""
        try:
            return cls(msgspec.json.decode(text))
        except msgspec.DecodeError:
            return cls(json.loads(text))

    @cached_property
    def data(self) -> Json:
        """The engine's own part; empty when there is none."""
        found = self.message.get("_data")
        return found if isinstance(found, dict) else {}

    @cached_property
    def key(self) -> Json:
        """WhatsApp's key of the message."""
        found = self.data.get("key")
        return found if isinstance(found, dict) else {}

    @cached_property
    def stanza_id(self) -> str:
        """The bare id WhatsApp gave the message."""
        parts = str(self.message.get("id")).split("_")
        return str(self.key.get("id") or (parts[2] if len(parts) > 2 else parts[-1]))

    @cached_property
    def chat(self) -> str:
        """The chat, raw form."""
        return str(self.key.get("remoteJid") or to_jid(str(self.message.get("from"))))

    @cached_property
    def participant(self) -> str | None:
        """Who wrote it in a chat of many, shown form."""
        found = self.message.get("participant") or self.key.get("participant")
        return to_shown(str(found)) if found else None

    @property
    def from_me(self) -> bool:
        """What the row says; wrong for some own messages in LID groups."""
        return self.message.get("fromMe") is True

    def is_own(self, own: frozenset[str]) -> bool:
        """Tell whether the account itself wrote it."""
        return self.from_me or self.participant in own

    @cached_property
    def seconds(self) -> float | None:
        """The time as a number, where the row has one."""
        value = self.message.get("timestamp")
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return None
        try:
            return int(value)
        except ValueError:
            return None

    @cached_property
    def _opened(self) -> tuple[list[str], Json]:
        found = self.data.get("message")
        message: Json = found if isinstance(found, dict) else {}
        wrappers: list[str] = []
        while wrapper := next((name for name in message if name in WRAPPERS), None):
            wrappers.append(wrapper)
            inner = message[wrapper].get("message")
            message = inner if isinstance(inner, dict) else {}
        return wrappers, message

    @property
    def wrappers(self) -> list[str]:
        """The wrappers around the content, outermost first."""
        return self._opened[0]

    @property
    def inner(self) -> Json:
        """The message without its wrappers."""
        return self._opened[1]

    @cached_property
    def name(self) -> str:
        """The name of the content, e.g. `imageMessage`; empty when there is none."""
        return next((name for name in self.inner if name != _ASIDE), "")

    @cached_property
    def node(self) -> Json:
        """The content itself; a plain text as `{"text": …}`."""
        found = self.inner.get(self.name)
        return found if isinstance(found, dict) else {"text": found}

    @cached_property
    def context(self) -> Json:
        """What the content says about quotes, mentions and forwarding."""
        found = self.node.get("contextInfo")
        return found if isinstance(found, dict) else {}

    @cached_property
    def kind(self) -> str:
        """The kind, named as the generator's truth names it."""
        if self.name.startswith("pollCreationMessage"):
            return "poll"
        kind = _KINDS.get(self.name)
        if kind == "audio" and self.node.get("ptt") is True:
            return "voice"
        if kind == "video" and self.node.get("gifPlayback") is True:
            return "gif"
        return kind or ("text" if not self.data and self.message.get("body") else "unknown")

    @property
    def status(self) -> int | None:
        """The stored status, 0 to 5; None when nothing is known."""
        found = self.data.get("status")
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    @property
    def ack(self) -> int | None:
        """The true ack: status less one, None when nothing is known."""
        return None if self.status is None else self.status - 1

    @property
    def digest(self) -> str | None:
        """A hash of the text a person reads; None when there is none."""
        body = self.message.get("body")
        return None if body is None else digest(str(body))

    @property
    def notes(self) -> Json:
        """What the server remembers of the row without showing it."""
        found = self.message.get(NOTES)
        return found if isinstance(found, dict) else {}


def digest(body: str) -> str:
    """Return the hash by which bodies are compared."""
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def bytes_text(value: Any) -> Any:
    """Return Baileys' `{"type": "Buffer"}` as base64; anything else as it is."""
    if isinstance(value, dict) and value.get("type") == "Buffer":
        return value.get("data")
    return value
