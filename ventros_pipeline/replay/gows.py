"""What WAHA's GOWS engine answers: whatsmeow's shapes over an SQL store ordered by a number.

Belongs here: the stored rows and listings in GOWS's shape (`_data {Info, Message, Status}`, Go
casing), and where its lists differ. Does not belong here: what all engines share (`engine`).

GOWS itself stores fewer kinds than NOWEB; here every row is served, so that one account can be
compared across engines.
"""

import zlib
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec

from ventros_pipeline.replay.account import Item
from ventros_pipeline.replay.engine import Call, Engine, Paging
from ventros_pipeline.replay.ids import to_jid, to_shown
from ventros_pipeline.replay.store import NO_TIME, Look
from ventros_pipeline.replay.stored import NOTES, WRAPPERS, Json, Stored, bytes_text
from ventros_pipeline.replay.wire import Answer, join_array, js_dumps, refuse

_ACK_NAMES = ("ERROR", "PENDING", "SERVER", "DEVICE", "READ", "PLAYED")
_NO_MOMENT = "0001-01-01T00:00:00Z"
_LAST_SECOND = 253_402_300_799
_GO_NAMES = {
    "url": "URL",
    "ptt": "PTT",
    "fileSha256": "fileSHA256",
    "fileEncSha256": "fileEncSHA256",
    "jpegThumbnail": "JPEGThumbnail",
    "stanzaId": "stanzaID",
    "remoteJid": "remoteJID",
    "mentionedJid": "mentionedJID",
    "groupJid": "groupJID",
    "rowId": "rowID",
    "selectedRowId": "selectedRowID",
    "selectedId": "selectedID",
    "selectedButtonId": "selectedButtonID",
    "buttonId": "buttonID",
    "sourceId": "sourceID",
    "sourceUrl": "sourceURL",
    "mediaUrl": "mediaURL",
    "thumbnailUrl": "thumbnailURL",
    "paramsJson": "paramsJSON",
    "buttonParamsJson": "buttonParamsJSON",
    "orderId": "orderID",
    "productId": "productID",
}
_MEDIA_TYPES = {
    "imageMessage": "image",
    "videoMessage": "video",
    "ptvMessage": "ptv",
    "documentMessage": "document",
    "stickerMessage": "sticker",
    "locationMessage": "location",
    "liveLocationMessage": "livelocation",
    "contactMessage": "vcard",
    "contactsArrayMessage": "contact_array",
}
_NO_BOT = {"EditType": "", "EditTargetID": "", "EditSenderTimestampMS": _NO_MOMENT}
_NO_META = {
    "TargetID": "",
    "TargetSender": "",
    "TargetChat": "",
    "DeprecatedLIDSession": None,
    "ThreadMessageID": "",
    "ThreadMessageSenderJID": "",
}
_FLAGS = [flag for flag in WRAPPERS.values() if flag] + ["IsLottieSticker", "IsBotInvoke"]


class Gows(Engine):
    """The engine over whatsmeow."""

    name: ClassVar[str] = "GOWS"
    look: ClassVar[Look] = Look(numeric=True)
    config: ClassVar[Json] = {
        "gows": {"storage": {"messages": True, "groups": True, "chats": True, "labels": True}}
    }

    def _me(self) -> Json | None:
        me = super()._me()
        return me and me | {"jid": _with_device(to_jid(str(me.get("id"))), 9)}

    # -- rows -------------------------------------------------------------------------------

    def shown(self, text: bytes) -> bytes:
        """Return a stored row as whatsmeow's event with WAHA's fields on top."""
        return js_dumps(self.row(Stored.parse(text)))

    def timestamp(self, row: Stored) -> Any:
        """Return the seconds of the row; Go has a zero time where others have none."""
        return int(NO_TIME) if row.seconds is None else row.seconds

    def row(self, stored: Stored) -> Json:
        """Convert a stored row."""
        message = stored.message
        shown: Json = {
            "id": message.get("id"),
            "timestamp": self.timestamp(stored),
            "from": message.get("from"),
            "fromMe": stored.from_me,
            "source": message.get("source", "app"),
            "body": message.get("body"),
            "to": stored.participant,
            "participant": stored.participant,
            "hasMedia": message.get("hasMedia", False),
            "media": message.get("media"),
            **_ack(stored.status),
            "location": message.get("location"),
            "vCards": message.get("vCards"),
            "replyTo": _recased(message.get("replyTo")),
        }
        if stored.data:
            shown["_data"] = self._data(stored)
        return shown

    def _data(self, stored: Stored) -> Json:
        flags = {WRAPPERS[name] for name in stored.wrappers}
        if stored.notes.get("edited_at"):
            flags.add("IsEdit")
        return {
            "Info": self._info(stored),
            "Message": _content(stored.inner),
            **{flag: flag in flags for flag in _FLAGS},
            "SourceWebMsg": None,
            "UnavailableRequestID": "",
            "RetryCount": 0,
            "NewsletterMeta": None,
            "RawMessage": _recased(stored.data.get("message")),
            "Status": stored.status or 0,
        }

    def _info(self, stored: Stored) -> Json:
        key = stored.key
        writer = to_jid(stored.participant) if stored.participant else stored.chat
        if stored.from_me and not stored.participant:
            writer = to_jid(str((self.account.session.get("me") or {}).get("id")))
        other = key.get("participantAlt") or key.get("remoteJidAlt") or ""
        device = 2 if zlib.crc32(stored.stanza_id.encode()) % 4 == 0 else 0
        return {
            "Chat": stored.chat,
            "Sender": _with_device(writer, device),
            "IsFromMe": stored.from_me,
            "IsGroup": stored.participant is not None,
            "AddressingMode": key.get("addressingMode", ""),
            "SenderAlt": "" if stored.from_me else other,
            "RecipientAlt": other if stored.from_me else "",
            "BroadcastListOwner": "",
            "BroadcastRecipients": None,
            "ID": stored.stanza_id,
            "ServerID": 0,
            "Type": _type(stored),
            "PushName": stored.data.get("pushName", ""),
            "Timestamp": _moment(stored.seconds),
            "Category": "",
            "Multicast": False,
            "MediaType": _media_type(stored),
            "Edit": "1" if "editedMessage" in stored.wrappers else "",
            "MsgBotInfo": _NO_BOT,
            "MsgMetaInfo": _NO_META,
            "VerifiedName": None,
            "DeviceSentMeta": None,
        }

    def edited(self, row: Stored, body: str, at: int) -> Json:
        """Rewrite the content in place; the time stays."""
        data = row.data | {"message": {"conversation": body}}
        return row.message | {"body": body, "_data": data, NOTES: {"edited_at": at}}

    # -- lists ------------------------------------------------------------------------------

    async def chats(self, call: Call) -> Answer:
        """List every chat that has a message; by id unless asked otherwise."""
        paging = Paging.read(call.query, ("conversationTimestamp", "id", "name"))
        merge = call.query.boolean("merge", True) is not False and not self.is_old
        call.query.done()
        await self._working(call)
        rows = self._chats(merge)
        field = paging.sort_by or "id"
        missing: Any = 0 if field == "conversationTimestamp" else ""
        rows.sort(key=lambda row: row[field] or missing, reverse=bool(paging.descending(False)))
        return Answer.of(paging.cut(rows))

    def _chats(self, merge: bool) -> list[Json]:
        """Return the chats as their newest stored messages tell them."""
        names = {item.id: item.name for item in self.account.listed()}
        moved = self.account.last_moves()
        if merge:
            folded: dict[str, float] = {}
            for chat_id, time in moved.items():
                number = self.account.number_of(chat_id)
                jid = to_jid(number) if number else chat_id
                folded[jid] = max(time, folded.get(jid, time))
            moved = folded
        return [
            {
                "id": to_shown(jid),
                "name": self._name(jid, names),
                "conversationTimestamp": int(time),
            }
            for jid, time in moved.items()
        ]

    def _name(self, jid: str, names: dict[str, str | None]) -> str:
        contact = self.account.contact(jid)
        known = msgspec.json.decode(contact) if contact else {}
        return names.get(jid) or known.get("name") or known.get("pushname") or ""

    def _overview(self, paging: Paging, merge: bool, ids: list[str] | None) -> Answer:
        rows = sorted(
            self._chats(merge and not self.is_old), key=lambda row: -row["conversationTimestamp"]
        )
        wanted = {to_shown(to_jid(chat_id)) for chat_id in ids} if ids else None
        chosen = [row for row in rows if wanted is None or row["id"] in wanted]
        with self.account.lock:
            shown = []
            for chat in paging.cut(chosen):
                scope = self.account.scope(chat["id"], merge)
                last = self.account.page(scope, limit=1, look=self.look)
                item = Item(to_jid(chat["id"]), js_dumps(chat), chat["name"])
                shown.append(self.account.overview_row(item, [self.shown(text) for text in last]))
        return Answer(join_array(shown))

    async def messages(self, call: Call) -> Answer:
        """List the messages of a chat, or of `all`; 10 by default, newest first."""
        asked = await self._message_query(call)
        paging = asked.paging
        texts = self.account.page(
            self.account.scope(asked.chat_id, asked.merge),
            asked.window,
            descending=bool(paging.descending(True)),
            limit=paging.count,
            offset=paging.start,
            look=Look(numeric=True, ghosts=self.control.ghosts),
            shuffle=call.tricks.shuffle,
        )
        return Answer(join_array(self._rows(texts, call.tricks)))

    async def message(self, call: Call) -> Answer:
        """Return one message by its bare or its full id, whatever chat was named."""
        stanza_id, _ = await self._named_message(call)
        found = self.account.message(stanza_id, None)
        if found is None:
            raise refuse(404, "Message not found")
        return Answer(self._downloaded(call, found))

    async def contacts(self, call: Call) -> Answer:
        """List contacts; no default limit."""
        call.session  # noqa: B018 - raises when nobody named one
        paging = Paging.read(call.query, ("id", "name"))
        call.query.done()
        await self._working(call)
        rows = [_contact(item.raw) for item in self.account.contacts]
        field, back = paging.sort_by or "id", bool(paging.descending(False))
        rows.sort(key=lambda row: row[field], reverse=back)
        return Answer.of(paging.cut(rows))

    def _contact(self, contact_id: str) -> bytes | None:
        raw = super()._contact(contact_id)
        return raw and js_dumps(_contact(raw))

    def _group(self, group: Json, plain: bool) -> Json:
        members = [] if plain else [_member(row) for row in group.get("participants", [])]
        shown = {
            "JID": group["id"],
            "OwnerJID": group.get("owner") or "",
            "Name": group.get("subject", ""),
            "NameSetAt": _moment(group.get("subjectTime")),
            "Topic": group.get("desc", ""),
            "GroupCreated": _moment(group.get("creation")),
            "AddressingMode": group.get("addressingMode", ""),
            "IsLocked": False,
            "IsAnnounce": False,
            "ParticipantCount": group.get("size", 0),
        }
        return shown if plain else shown | {"Participants": members}


def _contact(raw: bytes) -> Json:
    known = msgspec.json.decode(raw)
    names = {name: known.get(name) or "" for name in ("name", "pushname")}
    return {"id": known["id"], **names}


def _member(row: Json) -> Json:
    by_lid = row["id"].endswith("@lid")
    return {
        "JID": row["id"],
        "PhoneNumber": row.get("phoneNumber", "") if by_lid else row["id"],
        "LID": row["id"] if by_lid else row.get("lid", ""),
        "IsAdmin": row.get("admin") is not None,
        "IsSuperAdmin": row.get("admin") == "superadmin",
        "DisplayName": "",
        "Error": 0,
        "AddRequest": None,
    }


def _ack(status: int | None) -> Json:
    """Return the ack: a status of 0 is to GOWS the same as none."""
    if not status:
        return {"ack": None, "ackName": "UNKNOWN"}
    return {"ack": status - 1, "ackName": _ACK_NAMES[status]}


def _type(stored: Stored) -> str:
    if stored.kind == "poll":
        return "poll"
    return "media" if _media_type(stored) else "text"


def _media_type(stored: Stored) -> str:
    if stored.name == "audioMessage":
        return "ptt" if stored.node.get("ptt") else "audio"
    return _MEDIA_TYPES.get(stored.name, "")


def _content(inner: Json) -> Json:
    """Write a content in Go's casing, with what is beside it at the end."""
    name = "messageContextInfo"
    aside = {name: inner[name]} if name in inner else {}
    plain = {name: value for name, value in inner.items() if name not in aside}
    recased: Json = _recased(plain | aside)
    return recased


def _recased(value: Any) -> Any:
    """Return JSON with Go's names, and bytes as base64 text."""
    if isinstance(value, list):
        return [_recased(element) for element in value]
    value = bytes_text(value)
    if not isinstance(value, dict):
        return value
    return {_GO_NAMES.get(name, name): _recased(inner) for name, inner in value.items()}


def _with_device(jid: str, device: int) -> str:
    user, _, server = jid.partition("@")
    is_person = server in ("s.whatsapp.net", "lid")
    return f"{user}:{device}@{server}" if device and is_person else jid


def _moment(seconds: float | None) -> str:
    """Write seconds as Go does; its calendar ends with the year 9999."""
    if seconds is None or not -62_135_596_800 <= seconds <= _LAST_SECOND:
        return _NO_MOMENT
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
