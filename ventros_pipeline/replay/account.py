"""A replayed account: a folder in the account format, loaded and ready to be asked.

Belongs here: reading the files, chats, overview, contacts, LIDs and groups, which chats are one
contact, and changing the account while it is served. Does not belong here: HTTP and its
parameters (`noweb`, `server`), rows and their order (`store`).

Every element is kept as the JSON text found in the file and served unchanged.
"""

import gzip
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ventros_pipeline.replay.ids import to_jid, to_shown
from ventros_pipeline.replay.store import (
    EVERYTHING,
    PLAIN,
    Ghosts,
    Look,
    MessageStore,
    Scope,
    Window,
    read_head,
)
from ventros_pipeline.replay.wire import js_dumps

MESSAGES = "messages.ndjson.gz"
HIDDEN = "messages_hidden.ndjson.gz"
_NO_OVERVIEW = ("@newsletter", "@broadcast")
_CHUNK = 1 << 20
_MESSAGE_FIELD = b'"message":'


class AccountError(ValueError):
    """The folder is not an account that can be replayed."""


class _Line(msgspec.Struct):
    chatId: str  # noqa: N815 - the file's name for it
    message: msgspec.Raw


_LINE = msgspec.json.Decoder(_Line)
_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_RAW_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True)
class Item:
    """One element of a listing: its JSON text and what it is found and sorted by."""

    id: str
    raw: bytes
    name: str | None = None
    moved: float | None = None


class Change(NamedTuple):
    """One change of the messages while they are served: a row's text before and after."""

    chat_id: str
    before: bytes | None
    after: bytes | None


@dataclass(frozen=True)
class Face:
    """How the overview shows a chat: name and picture as JSON text."""

    name: bytes
    picture: bytes


class Account:
    """Everything one WhatsApp account answers, kept as text; safe to change while served."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.store = MessageStore()
        self.session: dict[str, Any] = {}
        self.version: dict[str, Any] = {}
        self.contacts: list[Item] = []
        self.groups: dict[str, bytes] = {}
        self.journal: list[Change] = []
        self._chats: list[Item] = []
        self._merged: list[Item] | None = None
        self._lids: dict[str, str] = {}
        self._halves: dict[str, list[str]] = {}
        self._by_contact: dict[str, bytes] = {}
        self._faces: dict[str, Face] = {}

    @classmethod
    def load(cls, directory: str | Path) -> "Account":
        """Read an account folder; every file but the messages may be missing."""
        folder = Path(directory)
        if not (folder / MESSAGES).is_file():
            raise AccountError(f"{folder} holds no {MESSAGES}: not an account folder")
        account = cls()
        account._load_identity(folder)
        account._load_directory(folder)
        account._load_messages(folder)
        return account

    def close(self) -> None:
        """Give the temporary file of the messages back."""
        self.store.close()

    # -- loading ----------------------------------------------------------------------------

    def _load_identity(self, folder: Path) -> None:
        me = _json(folder / "me.json", {"id": "0@c.us", "pushName": "Replay"})
        self.session = _json(folder / "session.json", _default_session(me))
        self.session.setdefault("me", me)
        self.version = _json(folder / "version.json", _DEFAULT_VERSION)

    def _load_directory(self, folder: Path) -> None:
        self._chats = [_item(raw) for raw in _elements(folder / "chats.json")]
        if (folder / "chats_merged.json").is_file():
            self._merged = [_item(raw) for raw in _elements(folder / "chats_merged.json")]
        self.contacts = [_item(raw) for raw in _elements(folder / "contacts.json")]
        self._by_contact = {item.id: item.raw for item in self.contacts}
        groups = folder / "groups.json"
        if groups.is_file():
            found = _RAW_OBJECT.decode(groups.read_bytes())
            self.groups = {group_id: bytes(raw) for group_id, raw in found.items()}
        for pair in _json(folder / "lids.json", []):
            self._map(pair["lid"], pair["pn"])
        for name in ("overview.json", "overview_unmerged.json"):
            self._load_faces(folder / name)

    def _load_faces(self, path: Path) -> None:
        for raw in _elements(path):
            row = _RAW_OBJECT.decode(raw)
            face = Face(bytes(row["name"]), bytes(row["picture"]))
            self._faces[msgspec.json.decode(row["id"])] = face

    def _load_messages(self, folder: Path) -> None:
        dropped = _DroppedRows(_json(folder / "dropped_rows.json", {}).get("dropped", {}))
        for chat_id, text in _messages(folder / MESSAGES):
            for timestamp in dropped.before(chat_id):
                self.store.load_dropped(chat_id, timestamp)
            self.store.load(chat_id, text)
        for chat_id, timestamp in dropped.rest():
            self.store.load_dropped(chat_id, timestamp)
        if (folder / HIDDEN).is_file():
            for chat_id, text in _messages(folder / HIDDEN):
                self.store.load(chat_id, text)
        self.store.seal()

    # -- messages ---------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name of the session this account is served under."""
        return str(self.session.get("name") or "default")

    def scope(self, chat_id: str, merge: bool) -> Scope:
        """Return the chats a chat id stands for; None is `all`."""
        if chat_id == "all":
            return None
        jid = to_jid(chat_id)
        if not merge:
            return (jid,)
        person = to_jid(self._lids.get(jid, jid))
        return (person, *self._halves.get(person, ()))

    def page(
        self,
        scope: Scope,
        window: Window = EVERYTHING,
        *,
        descending: bool = True,
        limit: int = -1,
        offset: int = 0,
        look: Look = PLAIN,
        shuffle: int | None = None,
    ) -> list[bytes]:
        """Return one page of messages; limit and offset count rows WAHA then drops.

        Args:
            scope: the chats.
            window: the filters.
            descending: newest first.
            limit: rows to take; negative takes all.
            offset: rows to skip.
            look: how rows are ordered, and whether rows that are never shown lie between them.
            shuffle: a seed to mix the rows of each second with; None leaves them in place.
        """
        with self.lock:
            rows = self.store.rows(scope, window, descending, look)
            stop = len(rows) if limit < 0 else min(offset + limit, len(rows))
            chosen = rows[offset:stop]
            if shuffle is not None:
                chosen = self.store.shuffled(rows, offset, stop, shuffle)
            return [text for row in chosen if (text := self.store.text(row))]

    def backwards(
        self, jid: str, shuffle: int | None = None, ghosts: Ghosts | None = None
    ) -> Sequence[int]:
        """Return the rows of one chat from the newest back, dropped ones included."""
        rows = self.store.rows((jid,), EVERYTHING, True, Look(True, ghosts))
        return rows if shuffle is None else self.store.shuffled(rows, 0, len(rows), shuffle)

    def has_chat(self, jid: str) -> bool:
        """Tell whether a chat is listed or has messages."""
        with self.lock:
            return self.store.has(jid) or any(item.id == jid for item in self._chats)

    def stored(self) -> list[tuple[str, bytes]]:
        """Return chat and text of every row that exists now and can be shown."""
        with self.lock:
            return [(self.store.chat(row), self.store.text(row)) for row in self.store.existing()]

    def row(self, stanza_id: str) -> tuple[str, bytes] | None:
        """Return chat and text of a row by its stanza id."""
        with self.lock:
            return self.store.lookup(stanza_id)

    def message(self, stanza_id: str, scope: Scope) -> bytes | None:
        """Return one message by its stanza id."""
        with self.lock:
            return self.store.find(stanza_id, scope) or None

    def truth(self) -> list[bytes]:
        """Return every message that exists now: what a complete reader must have."""
        with self.lock:
            return self.store.shown()

    # -- listings ---------------------------------------------------------------------------

    def chats(
        self, *, merge: bool = True, sort_by: str = "conversationTimestamp", descending: bool = True
    ) -> list[Item]:
        """List the chats that have moved, as `/chats` does before limit and offset."""
        with self.lock:
            rows = [item for item in self._listed(merge) if item.moved is not None]
        if sort_by == "conversationTimestamp":
            return sorted(rows, key=lambda item: item.moved or 0, reverse=descending)
        if sort_by == "id":
            return sorted(rows, key=lambda item: item.id, reverse=descending)
        rank = {item.id: place for place, item in enumerate(self.contacts)}
        rows.sort(key=lambda item: rank.get(to_shown(item.id), len(rank)))
        return sorted(rows, key=lambda item: _json_text(item.name), reverse=descending)

    def last_moves(self) -> dict[str, float]:
        """Return each chat that has messages, with the time of its newest honest one."""
        with self.lock:
            return self.store.newest()

    def overview(self, merge: bool, ids: set[str] | None) -> list[Item]:
        """List the chats the overview shows, optionally only some of them."""
        rows = [item for item in self.chats(merge=merge) if not item.id.endswith(_NO_OVERVIEW)]
        return rows if ids is None else [item for item in rows if item.id in ids]

    def overview_row(self, chat: Item, last: list[bytes]) -> bytes:
        """Return one element of the overview: name, picture, last message and the chat itself."""
        shown = to_shown(chat.id)
        face = self._faces.get(shown) or self._face(chat)
        return b'{"id":%s,"name":%s,"picture":%s,"lastMessage":%s,"_chat":%s}' % (
            js_dumps(shown),
            face.name,
            face.picture,
            last[0] if last else b"null",
            chat.raw,
        )

    def listed(self) -> list[Item]:
        """Return every chat of the chat list, the LID halves on their own, moved or not."""
        with self.lock:
            return list(self._chats)

    def contact(self, contact_id: str) -> bytes | None:
        """Return one contact by any form of its id."""
        return self._by_contact.get(to_shown(to_jid(contact_id)))

    def picture(self, contact_id: str) -> bytes:
        """Return where a contact's picture is, as JSON text; `null` when nothing is known of it."""
        face = self._faces.get(to_shown(to_jid(contact_id)))
        return face.picture if face else b"null"

    def lids(self) -> list[tuple[str, str]]:
        """Return the LID table in insertion order."""
        with self.lock:
            return list(self._lids.items())

    def number_of(self, lid: str) -> str | None:
        """Return the phone form of a LID, when it is mapped."""
        return self._lids.get(lid)

    def lid_of(self, number: str) -> str | None:
        """Return the LID of a phone id, when it is mapped."""
        halves = self._halves.get(to_jid(number))
        return halves[0] if halves else None

    def _listed(self, merge: bool) -> list[Item]:
        if not merge:
            return self._chats
        if self._merged is None:
            self._merged = self._fold()
        return self._merged

    def _fold(self) -> list[Item]:
        """Fold the halves of one contact into the half that moved last, under the phone id."""
        best: dict[str, Item] = {}
        for chat in sorted(self._chats, key=lambda item: -(item.moved or 0)):
            number = self._lids.get(chat.id)
            best.setdefault(to_jid(number) if number else chat.id, chat)
        return [
            chat if chat.id == jid else _changed(chat, id=jid)
            for jid, chat in best.items()
            if chat.moved is not None
        ]

    def _face(self, chat: Item) -> Face:
        contact = self.contact(chat.id)
        known = msgspec.json.decode(contact) if contact else {}
        name = chat.name or known.get("name") or known.get("pushname")
        return Face(js_dumps(name), b"null")

    # -- changing while served --------------------------------------------------------------

    def put_message(self, chat_id: str, text: bytes | dict[str, Any]) -> None:
        """Store a message: a new one arrives, a known stanza id is overwritten (edit, ack)."""
        raw = text if isinstance(text, bytes) else js_dumps(text)
        jid = to_jid(chat_id)
        with self.lock:
            known = self.store.lookup(read_head(raw).stanza_id)
            if known is not None and known[0] != jid:
                self.journal.append(Change(known[0], known[1], None))
                known = None
            self.journal.append(Change(jid, known[1] if known else None, raw))
            self.store.put(jid, raw)
            self._move(jid, raw)

    def revoke(self, stanza_id: str) -> bool:
        """Delete a message for everyone: the row disappears."""
        with self.lock:
            known = self.store.lookup(stanza_id)
            if known is not None:
                self.journal.append(Change(known[0], known[1], None))
            return self.store.remove(stanza_id)

    def map_lid(self, lid: str, number: str) -> None:
        """Let a LID mapping appear."""
        with self.lock:
            self._map(lid, to_shown(to_jid(number)))
            self._merged = None

    def _map(self, lid: str, number: str) -> None:
        before = self._lids.get(lid)
        if before is not None:
            self._halves[to_jid(before)].remove(lid)
        self._lids[lid] = number
        self._halves.setdefault(to_jid(number), []).append(lid)

    def _move(self, jid: str, raw: bytes) -> None:
        """Let the chat list follow a new message, as WhatsApp's chat updates do."""
        timestamp = msgspec.json.decode(raw, type=_Stamp).timestamp
        if not isinstance(timestamp, int):
            return
        for place, chat in enumerate(self._chats):
            if chat.id == jid:
                if timestamp > (chat.moved or 0):
                    moved = {"lastMsgTimestamp": timestamp, "conversationTimestamp": timestamp}
                    self._chats[place] = _changed(chat, **moved)
                    self._merged = None
                return
        fresh = {"id": jid, "lastMsgTimestamp": timestamp, "conversationTimestamp": timestamp}
        self._chats.append(_item(js_dumps(fresh)))
        self._merged = None


class _Stamp(msgspec.Struct):
    timestamp: Any = None


class _ChatFields(msgspec.Struct):
    id: str
    name: str | None = None
    subject: str | None = None
    conversationTimestamp: float | None = None  # noqa: N815 - the wire's name


class _DroppedRows:
    """The rows WAHA reads and never shows, handed out at their place in the unfiltered list."""

    def __init__(self, dropped: dict[str, list[dict[str, Any]]]) -> None:
        self._left = {
            chat_id: sorted(rows, key=lambda row: row["asc_index"], reverse=True)
            for chat_id, rows in dropped.items()
        }
        self._place = dict.fromkeys(dropped, 0)

    def before(self, chat_id: str) -> Iterator[int]:
        """Yield the times of the dropped rows that stand before the next returned one."""
        left = self._left.get(chat_id)
        if left is None:
            return
        while left and left[-1]["asc_index"] <= self._place[chat_id]:
            self._place[chat_id] += 1
            yield left.pop()["timestamp"]
        self._place[chat_id] += 1

    def rest(self) -> Iterator[tuple[str, int]]:
        """Yield what stands after the last returned row of its chat."""
        for chat_id, left in self._left.items():
            while left:
                yield chat_id, left.pop()["timestamp"]


_DEFAULT_VERSION = {
    "version": "2026.4.1",
    "engine": "NOWEB",
    "tier": "CORE",
    "browser": None,
    "platform": "linux/x64",
    "worker": {"id": None},
}


def _default_session(me: dict[str, Any]) -> dict[str, Any]:
    store = {"enabled": True, "fullSync": True}
    return {
        "name": "default",
        "status": "WORKING",
        "config": {"noweb": {"markOnline": True, "store": store}},
        "me": me,
        "presence": None,
        "timestamps": {},
        "engine": {"engine": "NOWEB"},
    }


def _json(path: Path, default: Any) -> Any:
    return msgspec.json.decode(path.read_bytes()) if path.is_file() else default


def _elements(path: Path) -> list[bytes]:
    if not path.is_file():
        return []
    return [bytes(raw) for raw in _RAW_LIST.decode(path.read_bytes())]


def _item(raw: bytes) -> Item:
    known = msgspec.json.decode(raw, type=_ChatFields)
    return Item(known.id, raw, known.name, known.conversationTimestamp)


def _changed(chat: Item, **fields: Any) -> Item:
    return _item(js_dumps(msgspec.json.decode(chat.raw) | fields))


def _json_text(name: str | None) -> bytes:
    """Sort key of a name as the store's SQL sees it: the JSON text, none first."""
    return b"" if name is None else js_dumps(name)


def _messages(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield chat id and message text of a file; lines end with a line feed and nothing else."""
    for number, line in enumerate(_lines(path), start=1):
        try:
            yield _split(line)
        except (ValueError, KeyError) as error:
            raise AccountError(f"{path.name}, line {number}: {error}") from error


def _split(line: bytes) -> tuple[str, bytes]:
    try:
        found = _LINE.decode(line)
    except msgspec.DecodeError:  # lone surrogates: valid for JSON.parse, not for msgspec
        start = line.index(_MESSAGE_FIELD)
        head = msgspec.json.decode(line[:start].rstrip(b", ") + b"}")
        return head["chatId"], line[start + len(_MESSAGE_FIELD) : line.rindex(b"}")]
    return found.chatId, bytes(found.message)


def _lines(path: Path) -> Iterator[bytes]:
    rest = b""
    try:
        with gzip.open(path, "rb") as stream:
            while chunk := stream.read(_CHUNK):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (line for line in whole if line)
    except (OSError, EOFError, zlib.error) as error:
        raise AccountError(f"{path.name} cannot be read: {error}") from error
    if rest.strip():
        yield rest
