"""What WEBJS and WPP share: WhatsApp Web's own models, read chat by chat.

Belongs here: the model of a message in WhatsApp Web, built from a stored row, and the lists both
engines page in memory. Does not belong here: how each engine walks a chat and what it puts on top
of the model (`webjs`, `wpp`).
"""

import base64
import zlib
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from ventros_pipeline.replay.account import Item
from ventros_pipeline.replay.engine import Call, Engine, MessageQuery, Paging
from ventros_pipeline.replay.ids import to_jid, to_shown
from ventros_pipeline.replay.store import Look, Window
from ventros_pipeline.replay.stored import NOTES, Json, Stored, bytes_text
from ventros_pipeline.replay.wire import Answer, CrashError, join_array, js_dumps, refuse

TYPES = {
    "conversation": "chat",
    "extendedTextMessage": "chat",
    "imageMessage": "image",
    "videoMessage": "video",
    "ptvMessage": "ptv",
    "documentMessage": "document",
    "stickerMessage": "sticker",
    "locationMessage": "location",
    "liveLocationMessage": "location",
    "contactMessage": "vcard",
    "contactsArrayMessage": "multi_vcard",
    "eventMessage": "event_creation",
    "listMessage": "list",
    "listResponseMessage": "list_response",
    "buttonsResponseMessage": "buttons_response",
    "templateButtonReplyMessage": "template_button_reply",
    "groupInviteMessage": "groups_v4_invite",
    "protocolMessage": "revoked",
}
_MEDIA = ("imageMessage", "videoMessage", "ptvMessage", "audioMessage", "documentMessage")
MEDIA = frozenset({*_MEDIA, "stickerMessage"})
_PICTURED = ("imageMessage", "videoMessage", "locationMessage", "liveLocationMessage")
THUMBNAIL = "/9j/4AAQSkZJRgABAQAAAQABAAD/" + "REPLAYED" * 24
_FIXED: Json = {
    "viewed": False,
    "invis": False,
    "star": False,
    "kicNotified": False,
    "isFromTemplate": False,
    "isAdsMedia": False,
    "pollInvalidated": False,
    "latestEditMsgKey": None,
    "latestEditSenderTimestampMs": None,
    "broadcast": False,
    "groupMentions": [],
    "isVcardOverMmsDocument": False,
    "labels": [],
    "viewMode": "VISIBLE",
    "links": [],
}


class Browser(Engine):
    """An engine that drives WhatsApp Web: no `all`, no merge, its own models."""

    look: ClassVar[Look] = Look(numeric=True)

    def wid(self, address: str) -> Any:
        """Write an address as this engine's models do."""
        raise NotImplementedError

    def message_key(self, row: "Model", stanza_id: str | None = None) -> Any:
        """Write the key of a message as this engine's models do."""
        raise NotImplementedError

    def model(self, stored: Stored) -> "Model":
        """Return a stored row as WhatsApp Web knows it."""
        return Model(stored, self)

    def timestamp(self, row: Stored) -> Any:
        """Return the time as a number, where the row has one."""
        return row.seconds

    def edited(self, row: Stored, body: str, at: int) -> Json:
        """Keep row, id and time; only the body changes, and the edit is remembered."""
        data = row.data | {"message": {"conversation": body}}
        return row.message | {"body": body, "_data": data, NOTES: {"edited_at": at}}

    def revoked(self, row: Stored, stanza_id: str, at: int) -> Json | None:
        """Put a row with an id of its own in the place of the revoked one."""
        target = dict(row.key)
        key = target | {"id": stanza_id}
        serialized = str(row.message.get("id")).replace(row.stanza_id, stanza_id)
        content = {"protocolMessage": {"type": 0, "key": target}}
        kept = ("from", "to", "participant", "fromMe", "timestamp", "source")
        return {
            "id": serialized,
            **{name: row.message[name] for name in kept if name in row.message},
            "body": None,
            "hasMedia": False,
            "_data": row.data | {"key": key, "message": content},
            NOTES: {"revoked_at": at},
        }

    # -- chats ------------------------------------------------------------------------------

    async def chats(self, call: Call) -> Answer:
        """List chats: all of them by default, newest first; merge is not known here."""
        paging = Paging.read(call.query, ("conversationTimestamp", "id", "name"))
        call.query.boolean("merge", True)
        call.query.done()
        await self._working(call)
        field = paging.sort_by or "conversationTimestamp"
        by_time = field == "conversationTimestamp"
        rows = sorted(
            self.items(),
            key=lambda item: (item.moved or 0) if by_time else str(getattr(item, field) or ""),
            reverse=bool(paging.descending(by_time)),
        )
        return Answer.of([self.chat(item) for item in paging.cut(rows)])

    def items(self) -> list[Item]:
        """Return every chat the browser knows: the listed ones and all that have messages."""
        moved = self.account.last_moves()
        found = [
            Item(item.id, item.raw, item.name, max(item.moved or 0, moved.pop(item.id, 0)))
            for item in self.account.listed()
        ]
        found += [Item(jid, b"{}", None, time) for jid, time in moved.items()]
        return [item for item in found if self.reachable(item.id)]

    def chat(self, item: Item) -> Json:
        """Write an element of the chat list."""
        raise NotImplementedError

    def _overview(self, paging: Paging, merge: bool, ids: list[str] | None) -> Answer:
        wanted = {to_jid(chat_id) for chat_id in ids} if ids else None
        rows = sorted(self.items(), key=lambda item: -(item.moved or 0))
        chosen = [item for item in rows if wanted is None or item.id in wanted]
        return Answer(join_array([self._overview_row(item) for item in paging.cut(chosen)]))

    def _overview_row(self, item: Item) -> bytes:
        last = self.newest(item.id)
        chat = Item(item.id, js_dumps(self.chat(item)), item.name)
        return self.account.overview_row(chat, [self.shown(last)] if last else [])

    def newest(self, jid: str) -> bytes | None:
        """Return the stored row of a chat's newest message."""
        found = self.account.page((jid,), limit=1, look=self.look)
        return found[0] if found else None

    # -- messages ---------------------------------------------------------------------------

    async def messages(self, call: Call) -> Answer:
        """List the messages of one chat; there is no `all` here."""
        asked = await self._message_query(call)
        if asked.chat_id == "all":
            raise refuse(501, f"chatId=all is not supported by {self.name} engine")
        jid = self._known_chat(asked.chat_id)
        texts = self.walk(jid, asked, call.tricks.shuffle) if self.reachable(jid) else []
        return Answer(join_array(self._rows(texts, call.tricks)))

    def walk(self, jid: str, asked: MessageQuery, shuffle: int | None) -> list[bytes]:
        """Return the stored rows this engine finds for a listing."""
        raise NotImplementedError

    def matches(self, text: bytes, window: Window) -> bool:
        """Apply every filter to a row."""
        row = Stored.parse(text)
        seconds = row.seconds or 0
        if window.gte is not None and seconds < window.gte:
            return False
        if window.lte is not None and seconds > window.lte:
            return False
        if window.from_me is not None and row.is_own(self.own) is not window.from_me:
            return False
        return window.status is None or row.status == window.status

    async def message(self, call: Call) -> Answer:
        """Return one message by its full id; the bare one is enough in a chat of two."""
        stanza_id, _ = await self._named_message(call)
        jid = self._known_chat(call.parts["chat_id"])
        found = self.account.message(stanza_id, (jid,))
        asked = call.parts["message_id"]
        if found is not None and (asked != stanza_id or not jid.endswith("@g.us")):
            row = msgspec.json.decode(self.shown(found))
            if asked in (stanza_id, row["id"]):
                return Answer(self._downloaded(call, found))
        raise refuse(404, "Message not found")

    def _known_chat(self, chat_id: str) -> str:
        jid = to_jid(chat_id)
        if not self.account.has_chat(jid):
            raise CrashError("Cannot read properties of undefined (reading 'getChat')", "TypeError")
        return jid

    # -- contacts and groups ------------------------------------------------------------------

    async def contacts(self, call: Call) -> Answer:
        """List contacts, paged in memory; no default limit."""
        call.session  # noqa: B018 - raises when nobody named one
        paging = Paging.read(call.query, ("id", "name"))
        call.query.done()
        await self._working(call)
        items = list(self.account.contacts)
        if paging.sort_by:
            field, back = paging.sort_by, bool(paging.descending(False))
            items.sort(key=lambda item: str(getattr(item, field) or ""), reverse=back)
        return Answer.of([self.person(item.raw) for item in paging.cut(items)])

    def person(self, raw: bytes) -> Json:
        """Write a contact."""
        raise NotImplementedError

    def _contact(self, contact_id: str) -> bytes | None:
        raw = super()._contact(contact_id)
        return raw and js_dumps(self.person(raw))

    def _groups(self, rows: list[tuple[str, Json]], plain: bool) -> Answer:
        known = {item.id: item for item in self.items()}
        shown = []
        for group_id, group in rows:
            item = known.get(group_id) or Item(group_id, b"{}", group.get("subject"), None)
            metadata = {"groupMetadata": self._group(group, plain)}
            shown.append(metadata | self.chat(item) | {"name": group.get("subject")})
        return Answer.of(shown)

    def _group(self, group: Json, plain: bool) -> Json:
        members = [
            {
                "id": self.wid(to_shown(row["id"])),
                "isAdmin": row.get("admin") is not None,
                "isSuperAdmin": row.get("admin") == "superadmin",
            }
            for row in group.get("participants", [])
        ]
        owner = group.get("owner")
        metadata = {
            "id": self.wid(group["id"]),
            "creation": group.get("creation"),
            "owner": self.wid(to_shown(owner)) if owner else None,
            "subject": group.get("subject"),
            "restrict": False,
            "announce": False,
            "isLidAddressingMode": group.get("addressingMode") == "lid",
            "participants": members,
            "pendingParticipants": [],
            "pastParticipants": [],
        }
        if plain:
            del metadata["participants"]
        return metadata


class Model:
    """A message as WhatsApp Web keeps it: `raw` is the `_data` of WEBJS and WPP."""

    def __init__(self, stored: Stored, engine: Browser) -> None:
        self.stored = stored
        self._engine = engine
        self.chat = to_shown(stored.chat)
        self.me = to_shown(str((engine.account.session.get("me") or {}).get("id")))
        self.from_me = stored.is_own(engine.own)
        self.sender = self.me if self.from_me else self.chat
        self.recipient = self.chat if self.from_me else self.me
        self.expired = stored.name in MEDIA and zlib.crc32(stored.stanza_id.encode()) % 11 == 0
        self.has_media = stored.name in MEDIA and not self.expired

    @property
    def id(self) -> str:
        """The serialized id, with the direction WhatsApp Web knows."""
        return self.serialized(self.stored.stanza_id)

    def serialized(self, stanza_id: str) -> str:
        """Return the serialized id of a message of the same chat, sender and direction."""
        start = f"{str(self.from_me).lower()}_{self.chat}_{stanza_id}"
        writer = self.stored.participant
        return f"{start}_{writer}" if writer else start

    @property
    def type(self) -> str:
        """The name WhatsApp Web gives the kind."""
        stored = self.stored
        if not stored.name:
            return "chat"
        if stored.kind in ("poll", "voice", "audio"):
            return {"poll": "poll_creation", "voice": "ptt", "audio": "audio"}[stored.kind]
        return TYPES.get(stored.name, stored.name.removesuffix("Message"))

    @property
    def ack(self) -> int | None:
        """The ack; None when nothing is known."""
        return self.stored.ack

    @property
    def inner_body(self) -> str:
        """The model's own `body`: text, vCard, or a thumbnail where there is a picture."""
        stored = self.stored
        if stored.name in _PICTURED:
            thumbnail = stored.node.get("jpegThumbnail")
            return str(bytes_text(thumbnail) or THUMBNAIL)
        if stored.name == "contactMessage":
            return str(stored.node.get("vcard") or "")
        if stored.name in MEDIA or stored.kind in ("poll", "revoked"):
            return ""
        return str(stored.message.get("body") or "")

    @property
    def body(self) -> str:
        """The body WAHA shows: a caption while there is media, else the model's own."""
        if self.has_media:
            return str(self.stored.node.get("caption") or "")
        if self.stored.kind == "poll":
            return str(self.stored.node.get("name") or "")
        return self.inner_body

    @property
    def raw(self) -> Json:
        """The whole model."""
        stored, wid = self.stored, self._engine.wid
        raw = {
            "id": self._engine.message_key(self),
            "type": self.type,
            "t": stored.seconds,
            "body": self.inner_body,
            "notifyName": stored.data.get("pushName", ""),
            "from": wid(self.sender),
            "to": wid(self.recipient),
            **({} if self.ack is None else {"ack": self.ack}),
            **_FIXED,
            "mentionedJidList": [wid(to_shown(a)) for a in stored.context.get("mentionedJid", [])],
            "isForwarded": stored.context.get("isForwarded") is True,
            "forwardsCount": stored.context.get("forwardingScore", 0),
            "hasReaction": bool(stored.data.get("reactions")),
            "isMdHistoryMsg": True,
        }
        if stored.participant:
            raw["author"] = wid(stored.participant)
        return raw | self._wrapped() | self._quote() | self._media() | self._special()

    def _wrapped(self) -> Json:
        """What wrappers leave behind, and edits, which have no wrapper here."""
        stored = self.stored
        found: Json = {}
        if any(name.startswith("viewOnce") for name in stored.wrappers):
            found["isViewOnce"] = True
        if "ephemeralMessage" in stored.wrappers:
            found["ephemeralDuration"] = stored.context.get("expiration", 604_800)
        edited = stored.notes.get("edited_at")
        if "editedMessage" in stored.wrappers:
            edited = stored.seconds
        if edited:
            mark = "3EB0" + format(zlib.crc32(stored.stanza_id.encode()), "018X")
            found["latestEditMsgKey"] = self._engine.message_key(self, mark)
            found["latestEditSenderTimestampMs"] = int(edited) * 1000 + 123
        return found

    def _quote(self) -> Json:
        context = self.stored.context
        if "stanzaId" not in context or "quotedMessage" not in context:
            return {}
        quoted = self.stored.message.get("replyTo") or {}
        return {
            "quotedStanzaID": context["stanzaId"],
            "quotedParticipant": self._engine.wid(to_shown(context.get("participant", ""))),
            "quotedMsg": {"type": "chat", "body": quoted.get("body")},
        }

    def _media(self) -> Json:
        node = self.stored.node
        if self.stored.name not in MEDIA:
            return {}
        names = {
            "mimetype": "mimetype",
            "caption": "caption",
            "fileName": "filename",
            "fileSha256": "filehash",
            "fileEncSha256": "encFilehash",
            "fileLength": "size",
            "mediaKey": "mediaKey",
            "mediaKeyTimestamp": "mediaKeyTimestamp",
            "width": "width",
            "height": "height",
            "pageCount": "pageCount",
        }
        found = {theirs: bytes_text(node[ours]) for ours, theirs in names.items() if ours in node}
        if "seconds" in node:
            found["duration"] = str(node["seconds"])
        if node.get("gifPlayback"):
            found["isGif"] = True
        return found if self.expired else found | {"directPath": node.get("directPath")}

    def _special(self) -> Json:
        make = _SPECIAL.get(self.type)
        found = make(self.stored.node) if make else {}
        if self.type == "revoked":
            target = str(self.stored.node.get("key", {}).get("id"))
            found["protocolMessageKey"] = self._engine.message_key(self, target)
            found["revokeTimestamp"] = self.stored.notes.get("revoked_at")
        return found


def _place(node: Json) -> Json:
    name, address = node.get("name"), node.get("address")
    written = "\n".join(text for text in (name, address) if text)
    found = {"lat": node.get("degreesLatitude"), "lng": node.get("degreesLongitude")}
    if "sequenceNumber" in node:
        live = {"isLive": True, "comment": node.get("caption"), "sequenceNumber": 1}
        return found | live | {"accuracyInMeters": node.get("accuracyInMeters")}
    return found | {"loc": written}


def _cards(node: Json) -> Json:
    rows = node.get("contacts", [])
    cards = [{"displayName": row.get("displayName"), "vcard": row.get("vcard")} for row in rows]
    return {"vcardList": cards, "vcardFormattedName": node.get("displayName")}


def _poll(node: Json) -> Json:
    options = [
        {"name": row.get("optionName"), "localId": place}
        for place, row in enumerate(node.get("options", []))
    ]
    return {
        "pollName": node.get("name"),
        "pollOptions": options,
        "pollSelectableOptionsCount": node.get("selectableOptionsCount"),
        "messageSecret": {str(place): byte for place, byte in enumerate(base64.b64decode("AQID"))},
    }


def _invite(node: Json) -> Json:
    return {
        "inviteGrp": node.get("groupJid"),
        "inviteGrpName": node.get("groupName"),
        "inviteCode": node.get("inviteCode"),
        "caption": node.get("caption"),
    }


def _answer(node: Json) -> Json:
    return {name: value for name, value in node.items() if name.startswith("selected")}


_SPECIAL: dict[str, Callable[[Json], Json]] = {
    "location": _place,
    "vcard": lambda node: {"vcardFormattedName": node.get("displayName")},
    "multi_vcard": _cards,
    "poll_creation": _poll,
    "event_creation": lambda node: {
        "eventName": node.get("name"),
        "eventStartTime": node.get("startTime"),
    },
    "list": lambda node: {"list": node},
    "list_response": lambda node: {"listResponse": node},
    "buttons_response": _answer,
    "template_button_reply": _answer,
    "groups_v4_invite": _invite,
    "revoked": lambda node: {"subtype": "sender"},
}


def location_of(stored: Stored) -> Json | None:
    """Return the location WAHA shows on WEBJS: with numbers, and without the thumbnail."""
    shown = stored.message.get("location")
    if not isinstance(shown, dict):
        return None
    found = {name: value for name, value in shown.items() if name != "thumbnail"}
    for name in ("latitude", "longitude"):
        found[name] = float(found[name])
    return found
