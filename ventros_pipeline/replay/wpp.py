"""What WAHA's WPP engine answers: raw wa-js models, filtered only after they were fetched.

Belongs here: the shape WPP puts around WhatsApp Web's models, and the traps of its paging. Does
not belong here: what it shares with WEBJS (`browser`).
"""

from typing import Any, ClassVar

import msgspec

from ventros_pipeline.replay.account import Item
from ventros_pipeline.replay.browser import Browser, Model
from ventros_pipeline.replay.engine import MessageQuery
from ventros_pipeline.replay.ids import to_shown
from ventros_pipeline.replay.stored import Json, Stored
from ventros_pipeline.replay.webjs import ACK_NAMES
from ventros_pipeline.replay.wire import js_dumps

_DEFAULT_LIMIT = 10


class Wpp(Browser):
    """The engine over wppconnect."""

    name: ClassVar[str] = "WPP"
    config: ClassVar[Json] = {"wpp": {}}

    def wid(self, address: str) -> Any:
        """Write an address as text."""
        return address

    def message_key(self, row: Model, stanza_id: str | None = None) -> Any:
        """Write a key as text: the serialized id."""
        return row.serialized(stanza_id or row.stored.stanza_id)

    def shown(self, text: bytes) -> bytes:
        """Return a stored row as WPP serves it; an ack that is missing is shown as 0."""
        stored = Stored.parse(text)
        row = self.model(stored)
        ack = row.ack or 0
        body = str(stored.node.get("caption") or "") if row.has_media else row.inner_body
        message: Json = {
            "id": row.id,
            "timestamp": stored.seconds,
            "from": row.sender,
            "fromMe": row.from_me,
            "source": "app",
            "to": row.recipient,
            "body": body,
            "hasMedia": row.has_media,
            "media": None,
            "ack": ack,
            "ackName": ACK_NAMES[ack],
            "location": None,
            "vCards": None,
            "replyTo": stored.message.get("replyTo"),
        }
        if stored.participant:
            message["participant"] = stored.participant
        if stored.data:
            writer = stored.participant or row.sender
            message["_data"] = row.raw | {"timestamp": stored.seconds, "author": writer}
        return js_dumps(message)

    def walk(self, jid: str, asked: MessageQuery, shuffle: int | None) -> list[bytes]:
        """Fetch the newest offset + limit rows, then filter, sort and slice those."""
        paging = asked.paging
        limit = paging.count if paging.count > 0 else _DEFAULT_LIMIT
        account = self.account
        with account.lock:
            rows = account.backwards(jid, shuffle, self.control.ghosts)[: paging.start + limit]
            texts = [text for row in rows if (text := account.store.text(row))]
        self.control.stats.looked(len(rows))
        if asked.window != (None, None, None, None):
            texts = [text for text in texts if self.matches(text, asked.window)]
        if paging.descending(True) is False:
            texts.reverse()
        return texts[paging.start : paging.start + limit]

    def chat(self, item: Item) -> Json:
        """Write a chat as wa-js does: id as text, `t` for the time."""
        shown = to_shown(item.id)
        return {
            "id": shown,
            "t": int(item.moved or 0),
            "name": item.name,
            "unreadCount": 0,
            "archive": False,
            "isReadOnly": False,
            "isGroup": shown.endswith("@g.us"),
            "muteExpiration": 0,
            "pin": 0,
            "notSpam": True,
            "kind": "group" if shown.endswith("@g.us") else "chat",
        }

    def person(self, raw: bytes) -> Json:
        """Write a contact as wa-js does: raw names, id as text."""
        known = msgspec.json.decode(raw)
        address = known["id"]
        return {
            "id": address,
            "name": known.get("name"),
            "pushname": known.get("pushname"),
            "type": "in",
            "isMe": address in self.own,
            "isUser": address.endswith(("@c.us", "@lid")),
            "isGroup": address.endswith("@g.us"),
            "isMyContact": known.get("name") is not None,
        }
