"""What WAHA's WEBJS engine answers: wwebjs models, walked backwards through one chat.

Belongs here: the shape WEBJS puts around WhatsApp Web's models, its ids, and how it walks a chat.
Does not belong here: what it shares with WPP (`browser`).
"""

import zlib
from typing import Any, ClassVar

import msgspec

from ventros_pipeline.replay.account import Item
from ventros_pipeline.replay.browser import Browser, Model, location_of
from ventros_pipeline.replay.engine import MessageQuery
from ventros_pipeline.replay.ids import to_shown
from ventros_pipeline.replay.stored import Json, Stored
from ventros_pipeline.replay.wire import js_dumps

ACK_NAMES = {-1: "ERROR", 0: "PENDING", 1: "SERVER", 2: "DEVICE", 3: "READ", 4: "PLAYED"}
_LID_SINCE = (2026, 7, 1)


class Webjs(Browser):
    """The engine over whatsapp-web.js.

    Attributes:
        minified: whether ids carry `$1` in place of `_serialized`, as since July 2026.
    """

    name: ClassVar[str] = "WEBJS"
    config: ClassVar[Json] = {"webjs": {"tagsEventsOn": False}}
    minified: bool = False

    def _me(self) -> Json | None:
        me = super()._me()
        if me is None or self.number >= _LID_SINCE:
            return me
        return {name: value for name, value in me.items() if name != "lid"}

    def reachable(self, chat_id: str) -> bool:
        """Tell whether messages can be listed: those of newsletters cannot."""
        return not chat_id.endswith("@newsletter")

    def wid(self, address: str) -> Any:
        """Write an address as an object."""
        user, _, server = address.partition("@")
        return {"server": server, "user": user, self._whole: address}

    def message_key(self, row: Model, stanza_id: str | None = None) -> Any:
        """Write a key as an object; in chats of many it names the writer."""
        stanza_id = stanza_id or row.stored.stanza_id
        key = {"fromMe": row.from_me, "remote": row.chat, "id": stanza_id}
        if row.stored.participant:
            key["participant"] = self.wid(row.stored.participant)
        return key | {self._whole: row.serialized(stanza_id)}

    @property
    def _whole(self) -> str:
        return "$1" if self.minified else "_serialized"

    def shown(self, text: bytes) -> bytes:
        """Return a stored row as WEBJS serves it."""
        stored = Stored.parse(text)
        row = self.model(stored)
        message: Json = {
            "id": row.id,
            "timestamp": stored.seconds,
            "from": row.sender if row.from_me else row.chat,
            "fromMe": row.from_me,
            "source": "app",
            "to": row.recipient,
            "body": row.body,
            "hasMedia": row.has_media,
            "media": None,
            "ack": row.ack,
            "ackName": "UNKNOWN" if row.ack is None else ACK_NAMES[row.ack],
            "location": location_of(stored),
            "vCards": stored.message.get("vCards") or [],
        }
        if stored.participant:
            message["participant"] = stored.participant
        if stored.message.get("replyTo"):
            message["replyTo"] = stored.message["replyTo"]
        if stored.data:
            message["_data"] = row.raw
        return js_dumps(message)

    def walk(self, jid: str, asked: MessageQuery, shuffle: int | None) -> list[bytes]:
        """Walk from the newest message back until enough pass the filters or `gte` is passed.

        `limit=0` is no limit at all; the order asked for is not looked at; rows that are only
        notifications take no part.
        """
        limit, start, window = asked.paging.count, asked.paging.start, asked.window
        wanted = limit + start if limit > 0 else None
        plain = window.from_me is None and window.status is None
        found: list[bytes] = []
        walked = 0
        account = self.account
        with account.lock:
            rows = account.backwards(jid, shuffle)
            for row in rows:
                walked += 1
                clock = account.store.clock(row)
                if window.gte is not None and clock < window.gte:
                    break
                text = account.store.text(row)
                if not text or (window.lte is not None and clock > window.lte):
                    continue
                if plain or self.matches(text, window):
                    found.append(text)
                if wanted is not None and len(found) >= wanted:
                    break
        self.control.stats.looked(walked)
        return found[start:]

    def chat(self, item: Item) -> Json:
        """Write a chat as wwebjs does; its last message may be one no list shows."""
        shown = to_shown(item.id)
        is_group = shown.endswith("@g.us")
        moved = int(item.moved or 0)
        if is_group and zlib.crc32(shown.encode()) % 3:
            last: Json | None = self._notice(shown, moved)
        else:
            newest = self.newest(item.id)
            last = self._inner(self.model(Stored.parse(newest))) if newest else None
        return {
            "id": self.wid(shown),
            "name": item.name or shown.split("@")[0],
            "isGroup": is_group,
            "isReadOnly": False,
            "unreadCount": 0,
            "timestamp": moved,
            "archived": False,
            "pinned": False,
            "isMuted": False,
            "muteExpiration": 0,
            "lastMessage": last,
        }

    def _inner(self, row: Model) -> Json:
        """Write wwebjs's own Message, which is not WAHA's."""
        raw = row.raw
        return {
            "_data": raw,
            "id": raw["id"],
            "ack": row.ack,
            "hasMedia": row.has_media,
            "body": row.body,
            "type": row.type,
            "timestamp": row.stored.seconds,
            "from": row.sender,
            "to": row.recipient,
            "deviceType": "android",
            "isForwarded": raw["isForwarded"],
            "forwardingScore": raw["forwardsCount"],
            "isStatus": False,
            "isStarred": False,
            "fromMe": row.from_me,
            "hasQuotedMsg": "quotedStanzaID" in raw,
            "hasReaction": raw["hasReaction"],
            "vCards": [],
            "mentionedIds": raw["mentionedJidList"],
            "groupMentions": [],
            "isGif": raw.get("isGif", False),
            "links": [],
        }

    def _notice(self, chat: str, moved: int) -> Json:
        """Write the notice that somebody left the group: seen here and in no list."""
        me = to_shown(str((self.account.session.get("me") or {}).get("id")))
        stanza_id = str(zlib.crc32(f"gp2 {chat}".encode()))
        key = {
            "fromMe": True,
            "remote": chat,
            "id": stanza_id,
            "participant": self.wid(me),
            self._whole: f"true_{chat}_{stanza_id}_{me}",
        }
        raw = {"id": key, "type": "gp2", "subtype": "remove", "t": moved, "body": "", "ack": 0}
        return {
            "_data": raw | {"from": self.wid(me), "to": self.wid(chat), "author": self.wid(me)},
            "id": key,
            "ack": 0,
            "hasMedia": False,
            "body": "",
            "type": "gp2",
            "timestamp": moved,
            "from": me,
            "to": chat,
            "fromMe": True,
            "vCards": [],
        }

    def person(self, raw: bytes) -> Json:
        """Write a contact; its id is an object where ids are minified."""
        known = msgspec.json.decode(raw)
        address = known["id"]
        name = known.get("name")
        return {
            "id": self.wid(address) if self.minified else address,
            "number": address.split("@")[0] if address.endswith("@c.us") else None,
            "name": name,
            "pushname": known.get("pushname"),
            "shortName": name.split()[0] if name else None,
            "type": "in",
            "isMe": address in self.own,
            "isUser": address.endswith(("@c.us", "@lid")),
            "isGroup": address.endswith("@g.us"),
            "isWAContact": True,
            "isMyContact": name is not None,
            "isBlocked": False,
            "isBusiness": False,
        }
