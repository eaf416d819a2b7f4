"""The messages of a generated account: every kind NOWEB returns, in its own shape.

Belongs here: content nodes, bodies, media facts, the message object around them, and the rows no
importer should trust. Does not belong here: who writes when (`people`, `generate`).
"""

import base64
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ventros_pipeline.replay.ids import to_shown

_WORDS_TEXT = (
    "boleto pix azul orçamento garantia confirmar loja frete bom cliente amanhã prazo"
    " nota fiscal entrega reunião tamanho estoque perfeito você às não é já até obrigado"
    " consegue valor chave cor dia horas café ação troca anexo pedido vencimento segue ok"
)
WORDS = _WORDS_TEXT.split()
_ENDINGS = ("", "", "", " 👍🏽", " 🎉", "\nlinha 2", ' "aspas" & <tag> \\ barra', "\u2028fim")
_SENTENCES = 2048
_BLOBS = 64

KINDS = {
    "text": 58.0,
    "image": 11.0,
    "voice": 7.5,
    "document": 5.5,
    "video": 3.5,
    "sticker": 3.2,
    "reply": 3.0,
    "location": 1.3,
    "poll": 0.9,
    "contact": 0.9,
    "audio": 0.9,
    "edited": 0.9,
    "gif": 0.8,
    "view_once": 0.5,
    "ephemeral": 0.7,
    "live_location": 0.4,
    "contacts": 0.4,
    "video_note": 0.4,
    "buttons_response": 0.3,
    "template_reply": 0.3,
    "list_response": 0.3,
    "list": 0.2,
    "event": 0.3,
    "group_invite": 0.3,
    "unknown": 0.1,
}
"""What is made, and how often. Some are other kinds in a wrapper: see `TRUE_KIND`."""

TRUE_KIND = {"reply": "text", "edited": "text", "ephemeral": "text", "view_once": "image"}

_IN = ((None, 55), (4, 22), (5, 7), (3, 8), ("absent", 8))
_OUT = ((4, 55), (3, 22), (2, 10), (5, 6), (1, 3), (0, 1), ("absent", 3))
_ACK_NAMES = {0: "ERROR", 1: "PENDING", 2: "SERVER", 3: "DEVICE", 4: "READ", 5: "PLAYED"}


@dataclass
class Content:
    """One message's content: the node, and what WAHA shows of it on top."""

    node: dict[str, Any]
    body: str | None = None
    has_media: bool = False
    location: dict[str, Any] | None = None
    vcards: list[str] | None = None
    reply_to: dict[str, Any] | None = None


@dataclass
class Envelope:
    """Who wrote where, when and with what status."""

    chat_id: str
    stanza_id: str
    timestamp: int
    from_me: bool
    participant: str | None = None
    pushname: str | None = None
    alt: dict[str, str] = field(default_factory=dict)
    reaction: str | None = None


@dataclass
class Quoted:
    """A message that can be answered."""

    stanza_id: str
    sender: str
    body: str


class Writer:
    """Writes contents and messages; everything random comes from one seeded source."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._sentences = [self._sentence() for _ in range(_SENTENCES)]
        self._blobs = [self._buffer(rng.randrange(560, 900)) for _ in range(_BLOBS)]
        self._names = list(KINDS)
        total = 0.0
        self._weights = [total := total + weight for weight in KINDS.values()]
        self._makers: dict[str, Callable[[int], Content]] = {
            "text": self._text,
            "image": self._image,
            "voice": self._voice,
            "audio": self._audio,
            "video": self._video,
            "gif": self._gif,
            "video_note": self._video_note,
            "document": self._document,
            "sticker": self._sticker,
            "view_once": self._view_once,
            "ephemeral": self._ephemeral,
            "edited": self._edited,
            "location": self._location,
            "live_location": self._live_location,
            "contact": self._contact,
            "contacts": self._contacts,
            "poll": self._poll,
        }

    def kind(self) -> str:
        """Draw a kind."""
        return self._rng.choices(self._names, cum_weights=self._weights)[0]

    def content(self, kind: str, timestamp: int, quoted: Quoted | None) -> Content:
        """Write the content of a message; without anything to answer a reply is a text."""
        if kind == "reply":
            return self._reply(quoted) if quoted else self._text(timestamp)
        maker = self._makers.get(kind)
        if maker is not None:
            return maker(timestamp)
        node, body = _FIXED[kind]
        return Content(node, body)

    def status(self, from_me: bool) -> Any:
        """Draw a stored status: 0 to 5, None (shown as ERROR) or "absent" (shown as UNKNOWN)."""
        choices = _OUT if from_me else _IN
        return self._rng.choices([c for c, _ in choices], [w for _, w in choices])[0]

    def message(self, envelope: Envelope, content: Content, status: Any) -> dict[str, Any]:
        """Build the message object as NOWEB returns it."""
        shown = to_shown(envelope.chat_id)
        who = "true" if envelope.from_me else "false"
        message: dict[str, Any] = {
            "id": f"{who}_{shown}_{envelope.stanza_id}",
            "timestamp": envelope.timestamp,
            "from": shown,
            "fromMe": envelope.from_me,
            "source": "app",
            "body": content.body,
        }
        if envelope.participant:
            writer = to_shown(envelope.participant)
            message["id"] += f"_{writer}"
            message |= {"to": shown, "participant": writer}
        message |= {"hasMedia": content.has_media, "media": None}
        message |= _ack(status)
        message["location"] = content.location
        message["vCards"] = content.vcards
        message["replyTo"] = content.reply_to
        message["_data"] = _data(envelope, content, status)
        return message

    # -- contents ---------------------------------------------------------------------------

    def _sentence(self) -> str:
        words = self._rng.choices(WORDS, k=self._rng.randrange(2, 18))
        return " ".join(words) + self._rng.choice(_ENDINGS)

    def sentence(self) -> str:
        """Draw a sentence."""
        return self._sentences[self._rng.getrandbits(11)]

    def _buffer(self, size: int) -> dict[str, str]:
        data = base64.b64encode(self._rng.randbytes(size)).decode()
        return {"type": "Buffer", "data": data}

    def _thumbnail(self) -> dict[str, str]:
        return self._blobs[self._rng.getrandbits(6)]

    def _media(self, folder: str, mimetype: str, timestamp: int, **more: Any) -> dict[str, Any]:
        path = f"/v/t62.7118-24/{folder}.enc?ccb=11-4&oh=01_Q5&oe=66000000&_nc_sid=5e03e0"
        return {
            "url": f"https://mmg.whatsapp.net{path}&mms3=true",
            "mimetype": mimetype,
            **more,
            "fileSha256": self._buffer(32),
            "fileLength": self._rng.randrange(2_000, 900_000),
            "mediaKey": self._buffer(32),
            "fileEncSha256": self._buffer(32),
            "directPath": path,
            "mediaKeyTimestamp": timestamp - 2,
        }

    def _text(self, timestamp: int) -> Content:
        text = self.sentence()
        if self._rng.random() < 0.2:
            return Content({"extendedTextMessage": {"text": text}}, text)
        return Content({"conversation": text}, text)

    def _reply(self, quoted: Quoted) -> Content:
        text = self.sentence()
        original = {"conversation": quoted.body}
        context = {
            "stanzaId": quoted.stanza_id,
            "participant": quoted.sender,
            "quotedMessage": original,
        }
        node = {"extendedTextMessage": {"text": text, "contextInfo": context}}
        reply_to = {
            "id": quoted.stanza_id,
            "participant": to_shown(quoted.sender),
            "body": quoted.body,
            "hasMedia": False,
            "media": None,
            "_data": original,
        }
        return Content(node, text, reply_to=reply_to)

    def _edited(self, timestamp: int) -> Content:
        text = self.sentence() + " (corrigido)"
        return Content({"editedMessage": {"message": {"conversation": text}}}, text)

    def _ephemeral(self, timestamp: int) -> Content:
        text = self.sentence()
        inner = {"extendedTextMessage": {"text": text, "contextInfo": {"expiration": 604800}}}
        return Content({"ephemeralMessage": {"message": inner}}, text)

    def _caption(self) -> dict[str, str]:
        return {"caption": self.sentence()} if self._rng.random() < 0.4 else {}

    def _image(self, timestamp: int) -> Content:
        caption = self._caption()
        node = self._media("image", "image/jpeg", timestamp, **caption, height=1280, width=720)
        node["jpegThumbnail"] = self._thumbnail()
        return Content({"imageMessage": node}, caption.get("caption"), True)

    def _view_once(self, timestamp: int) -> Content:
        node = self._media("image", "image/jpeg", timestamp)
        node |= {"jpegThumbnail": self._thumbnail(), "viewOnce": True}
        return Content({"viewOnceMessageV2": {"message": {"imageMessage": node}}}, None, True)

    def _video(self, timestamp: int) -> Content:
        caption = self._caption()
        node = self._media("video", "video/mp4", timestamp, seconds=58, **caption)
        node["jpegThumbnail"] = self._thumbnail()
        return Content({"videoMessage": node}, caption.get("caption"), True)

    def _gif(self, timestamp: int) -> Content:
        node = self._media("video", "video/mp4", timestamp, seconds=3, gifPlayback=True)
        return Content({"videoMessage": node}, None, True)

    def _video_note(self, timestamp: int) -> Content:
        node = self._media("video", "video/mp4", timestamp, seconds=8)
        return Content({"ptvMessage": node}, None, True)

    def _voice(self, timestamp: int) -> Content:
        node = self._media("audio", "audio/ogg; codecs=opus", timestamp, seconds=11, ptt=True)
        node["waveform"] = self._buffer(64)
        return Content({"audioMessage": node}, None, True)

    def _audio(self, timestamp: int) -> Content:
        node = self._media("audio", "audio/mpeg", timestamp, seconds=180)
        return Content({"audioMessage": node}, None, True)

    def _sticker(self, timestamp: int) -> Content:
        node = self._media("sticker", "image/webp", timestamp, height=512, width=512)
        return Content({"stickerMessage": node | {"isAnimated": False}}, None, True)

    def _document(self, timestamp: int) -> Content:
        name = f"nota fiscal {self._rng.randrange(1000)}.pdf"
        node = self._media("document", "application/pdf", timestamp, title="nota", fileName=name)
        if self._rng.random() < 0.75:
            return Content({"documentMessage": node}, None, True)
        node["caption"] = self.sentence()
        wrapped = {"documentWithCaptionMessage": {"message": {"documentMessage": node}}}
        return Content(wrapped, node["caption"], True)

    def _location(self, timestamp: int) -> Content:
        latitude, longitude = (self._rng.uniform(-23.6, -23.5), self._rng.uniform(-46.7, -46.5))
        thumbnail = self._thumbnail()
        place = {"name": "Loja", "address": "Rua Exemplo, 1"}
        node = {"degreesLatitude": latitude, "degreesLongitude": longitude, **place}
        shown = {"live": False, "latitude": str(latitude), "longitude": str(longitude), **place}
        return Content(
            {"locationMessage": node | {"jpegThumbnail": thumbnail}},
            location=shown | {"thumbnail": thumbnail["data"]},
        )

    def _live_location(self, timestamp: int) -> Content:
        node = {"degreesLatitude": -23.5, "degreesLongitude": -46.6, "caption": "a caminho"}
        shown = {"live": True, "latitude": "-23.5", "longitude": "-46.6"}
        return Content(
            {"liveLocationMessage": node | {"accuracyInMeters": 5, "sequenceNumber": 1}},
            location=shown | {"description": "a caminho"},
        )

    def _contact(self, timestamp: int) -> Content:
        card = _vcard("Fulano", "5511900000000")
        return Content({"contactMessage": {"displayName": "Fulano", "vcard": card}}, vcards=[card])

    def _contacts(self, timestamp: int) -> Content:
        cards = [_vcard(name, "5511900000000") for name in ("A", "B")]
        people = [{"displayName": "A", "vcard": card} for card in cards]
        node = {"contacts": people, "displayName": "2 contatos"}
        return Content({"contactsArrayMessage": node}, vcards=cards)

    def _poll(self, timestamp: int) -> Content:
        poll = {
            "options": [{"optionName": "Seg"}, {"optionName": "Ter"}],
            "name": "Qual dia?",
            "selectableOptionsCount": 1,
        }
        secret = {"messageSecret": self._buffer(32)}
        return Content({"messageContextInfo": secret, "pollCreationMessageV3": poll})


def _vcard(name: str, number: str) -> str:
    phone = f"TEL;type=CELL;waid={number}:+{number}"
    return f"BEGIN:VCARD\nVERSION:3.0\nFN:{name}\n{phone}\nEND:VCARD"


_ROW = {"title": "r1", "rowId": "1"}
_FIXED: dict[str, tuple[dict[str, Any], str | None]] = {
    "buttons_response": (
        {
            "buttonsResponseMessage": {
                "selectedButtonId": "b1",
                "selectedDisplayText": "Sim",
                "type": 1,
            }
        },
        "Sim",
    ),
    "template_reply": (
        {
            "templateButtonReplyMessage": {
                "selectedId": "x",
                "selectedDisplayText": "Quero",
                "selectedIndex": 0,
            }
        },
        "Quero",
    ),
    "list_response": (
        {
            "listResponseMessage": {
                "title": "r1",
                "listType": 1,
                "singleSelectReply": {"selectedRowId": "1"},
                "description": "d",
            }
        },
        "r1\nd",
    ),
    "list": (
        {
            "listMessage": {
                "sections": [{"rows": [_ROW], "title": "S"}],
                "title": "Menu",
                "description": "Escolha",
                "buttonText": "Abrir",
                "listType": 1,
                "footerText": "rodapé",
            }
        },
        "Menu\nEscolha\nrodapé",
    ),
    "event": ({"eventMessage": {"name": "Reunião", "startTime": 1_790_000_000}}, None),
    "group_invite": (
        {
            "groupInviteMessage": {
                "groupJid": "120363000000000000@g.us",
                "inviteCode": "AbC",
                "groupName": "Convite",
                "caption": "entre",
            }
        },
        None,
    ),
    "unknown": ({"hologramMessage": {"depth": 3}}, None),
}


def _ack(status: Any) -> dict[str, Any]:
    if status == "absent":
        return {"ack": None, "ackName": "UNKNOWN"}
    shown = 0 if status is None else status
    return {"ack": shown - 1, "ackName": _ACK_NAMES[shown]}


def _data(envelope: Envelope, content: Content, status: Any) -> dict[str, Any]:
    key: dict[str, Any] = {
        "remoteJid": envelope.chat_id,
        "fromMe": envelope.from_me,
        "id": envelope.stanza_id,
    }
    if envelope.participant:
        key["participant"] = envelope.participant
    key |= envelope.alt
    data: dict[str, Any] = {
        "key": key,
        "message": content.node,
        "messageTimestamp": envelope.timestamp,
    }
    if status != "absent":
        data["status"] = status
    if envelope.participant:
        data["participant"] = envelope.participant
    if envelope.pushname:
        data["pushName"] = envelope.pushname
    if envelope.reaction:
        reactor = {"remoteJid": envelope.chat_id, "fromMe": True, "id": envelope.reaction}
        stamp = envelope.timestamp * 1000 + 900
        data["reactions"] = [{"key": reactor, "text": "🙏", "senderTimestampMs": stamp}]
    return data


# -- rows nobody should trust --------------------------------------------------------------------

_ABSENT = object()
_ODD_TIMES: dict[str, Any] = {
    "timestamp_zero": 0,
    "timestamp_null": None,
    "timestamp_2100": 4_102_444_800,
    "timestamp_milliseconds": 1_770_000_000_123,
    "timestamp_string": "1770000000",
    "timestamp_negative": -5,
}
_ODD_BODIES = {
    "nul_character": "antes\u0000depois",
    "lone_surrogate": "metade \ud83d de emoji",
    "long_body": "ação " * 11_667,
}
NASTY = (*_ODD_TIMES, *_ODD_BODIES, "no_data", "unknown_key")


def nasty(label: str, envelope: Envelope) -> dict[str, Any]:
    """Write one of the rows an importer must survive."""
    body = _ODD_BODIES.get(label, "linha estranha")
    node = {"hologramMessage": {"depth": 3}} if label == "unknown_key" else {"conversation": body}
    content = Content(node, None if label == "unknown_key" else body)
    shown = to_shown(envelope.chat_id)
    data = _data(envelope, content, 3)
    message = {
        "id": f"false_{shown}_{envelope.stanza_id}",
        "timestamp": envelope.timestamp,
        "from": shown,
        "fromMe": False,
        "source": "app",
        "body": content.body,
        "hasMedia": False,
        "media": None,
        "ack": 2,
        "ackName": "DEVICE",
        "location": None,
        "vCards": None,
        "replyTo": None,
        "_data": data,
    }
    odd = _ODD_TIMES.get(label, _ABSENT)
    if odd is not _ABSENT:
        message["timestamp"] = data["messageTimestamp"] = odd
    if label == "no_data":
        del message["_data"]
    return message
