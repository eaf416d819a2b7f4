"""What every engine shares: the endpoints, their parameters, the session and the LID table.

Belongs here: the table of routes, reading a request, the session's states, WAHA's waits and
refusals, and what all engines answer alike. Does not belong here: chats, messages, contacts and
groups in one engine's shape (`noweb`, `gows`, `webjs`, `wpp`), rows (`account`), HTTP (`server`).
"""

import asyncio
import base64
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import msgspec

from ventros_pipeline.replay import files
from ventros_pipeline.replay.account import Account
from ventros_pipeline.replay.control import Control, Tricks
from ventros_pipeline.replay.ids import to_jid, to_shown
from ventros_pipeline.replay.params import Query
from ventros_pipeline.replay.store import Look, Window
from ventros_pipeline.replay.stored import Json, Stored
from ventros_pipeline.replay.truth import Fact
from ventros_pipeline.replay.wire import Answer, CrashError, RefusalError, js_dumps, refuse

ACKS = {"ERROR": 0, "PENDING": 1, "SERVER": 2, "DEVICE": 3, "READ": 4, "PLAYED": 5}
_NO_TRICKS = Tricks()
_FILTERS_SINCE = (2026, 3, 1)
_STATUS_MESSAGE = "Session status is not as expected. Try again later or restart the session"
_NO_STORE = (
    'Enable NOWEB store "config.noweb.store.enabled=True" and "config.noweb.store.full_sync=True"'
    " when starting a new session. Read more: https://waha.devlike.pro/docs/engines/noweb#store"
)
_NO_APPS = "Apps are disabled. Enable it by setting 'WAHA_APPS_ENABLED=True' environment variable."
_CORE_ONLY = (
    "WAHA Core support only 'default' session. You tried to access '{name}' session"
    " (base64: {code}). If you want to run more then one WhatsApp account - please get WAHA PLUS"
    " version. Check this out: https://waha.devlike.pro/"
)
_NOT_STARTED = (
    "We didn't find a session with name '{name}'.\nPlease start it first by using POST"
    " /api/sessions/{name}/start request"
)
_BAD_MESSAGE_ID = (
    "Message id be in format false_11111111111@c.us_AAAAAAAAAAAAAAAAAAAA[_participant]"
)


@dataclass
class Call:
    """One request, decoded.

    Attributes:
        query: the query string.
        parts: the named parts of the path.
        body: the JSON of the request, if any.
        status: the session status this request meets, when it is not the server's.
        tricks: what is done to the rows of the answer.
    """

    query: Query
    parts: dict[str, str] = field(default_factory=dict)
    body: Any = None
    status: str | None = None
    tricks: Tricks = _NO_TRICKS

    @property
    def session(self) -> str:
        """The session named in the path or, on old endpoints, in the query."""
        name = self.parts.get("session") or self.query.text("session")
        if not name:
            raise refuse(400, "Session name is required")
        return name


@dataclass(frozen=True)
class Paging:
    """Limit, offset and order of a listing."""

    limit: float | None
    offset: float | None
    sort_by: str | None
    sort_order: str | None

    @classmethod
    def read(
        cls, query: Query, sortable: tuple[str, ...] = (), limit: float | None = None
    ) -> "Paging":
        """Read the four parameters; complaints stay in the query."""
        return cls(
            query.number("limit", limit),
            query.number("offset"),
            query.choice("sortBy", sortable) if sortable else None,
            query.text("sortOrder"),
        )

    @property
    def count(self) -> int:
        """The limit as a store takes it: none is -1, and any negative means no limit."""
        return -1 if self.limit is None else int(self.limit)

    @property
    def start(self) -> int:
        """The offset as a store takes it; a negative one crashes WAHA."""
        if self.offset is not None and self.offset < 0:
            raise CrashError("A non-negative integer must be provided to offset.")
        return int(self.offset or 0)

    def descending(self, default: bool) -> bool | None:
        """Return the direction; None when the word is neither asc nor desc."""
        word = (self.sort_order or ("desc" if default else "asc")).lower()
        return {"asc": False, "desc": True}.get(word)

    def cut(self, rows: list[Any]) -> list[Any]:
        """Apply limit and offset to a list."""
        start = self.start
        return rows[start:] if self.count < 0 else rows[start : start + self.count]


@dataclass(frozen=True)
class MessageQuery:
    """What a message listing asks for; `merge` and `window` already mean what the server does."""

    chat_id: str
    paging: Paging
    merge: bool
    window: Window


@dataclass(frozen=True)
class Route:
    """An endpoint: method, template, which method answers, and whether it needs the key."""

    method: str
    template: str
    handler: str
    guarded: bool = True

    @property
    def pattern(self) -> re.Pattern[str]:
        """What a path has to match."""
        return _PATTERNS[self.template]


ROUTES = (
    Route("GET", "/ping", "ping", guarded=False),
    Route("GET", "/api/version", "server_version"),
    Route("GET", "/api/server/version", "server_version"),
    Route("GET", "/api/server/status", "server_status"),
    Route("GET", "/api/sessions", "sessions"),
    Route("GET", "/api/sessions/{session}", "session"),
    Route("GET", "/api/sessions/{session}/me", "me"),
    Route("GET", "/api/{session}/chats", "chats"),
    Route("GET", "/api/{session}/chats/overview", "overview"),
    Route("POST", "/api/{session}/chats/overview", "post_overview"),
    Route("GET", "/api/{session}/chats/{chat_id}/messages", "messages"),
    Route("GET", "/api/messages", "messages"),
    Route("GET", "/api/{session}/chats/{chat_id}/messages/{message_id}", "message"),
    Route("GET", "/api/files/{session}/{file}", "file"),
    Route("GET", "/api/contacts/all", "contacts"),
    Route("GET", "/api/contacts/profile-picture", "profile_picture"),
    Route("GET", "/api/contacts", "contact"),
    Route("GET", "/api/{session}/contacts/{contact_id}", "contact"),
    Route("GET", "/api/{session}/lids", "lids"),
    Route("GET", "/api/{session}/lids/count", "lids_count"),
    Route("GET", "/api/{session}/lids/pn/{number}", "lid_of_number"),
    Route("GET", "/api/{session}/lids/{lid}", "number_of_lid"),
    Route("GET", "/api/{session}/groups", "groups"),
    Route("GET", "/api/{session}/groups/count", "groups_count"),
)
MESSAGES = "/api/{session}/chats/{chat_id}/messages"
_PATTERNS = {
    route.template: re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.template))
    for route in ROUTES
}
Handler = Callable[[Call], Awaitable[Answer]]


class Engine:
    """An account, the switches of the server, and the answers; engines fill in the rest."""

    name: ClassVar[str]
    look: ClassVar[Look] = Look()
    config: ClassVar[Json] = {}

    def __init__(self, account: Account, control: Control, *, version: str | None = None) -> None:
        self.account = account
        self.control = control
        self.others: Sequence[Engine] = ()
        self.started = time.time()
        self.version: dict[str, Any] = account.version
        if self.name != account.version.get("engine") or version is not None:
            self.version = account.version | {"engine": self.name}
        if version is not None:
            self.version["version"] = version

    @property
    def number(self) -> tuple[int, ...]:
        """The server's version as numbers."""
        found = [int(part) for part in re.findall(r"\d+", str(self.version.get("version", "")))]
        return tuple((*found, 0, 0, 0)[:3])

    @property
    def is_old(self) -> bool:
        """Whether the server knows no `merge`, no `sortOrder` and no filters for `all`."""
        return self.number < _FILTERS_SINCE

    @cached_property
    def own(self) -> frozenset[str]:
        """The account's own addresses, shown form."""
        me = self.account.session.get("me") or {}
        return frozenset(to_shown(str(me[name])) for name in ("id", "lid") if me.get(name))

    def handler(self, route: Route) -> Handler:
        """Return the method that answers a route."""
        found: Handler = getattr(self, route.handler)
        return found

    # -- what an engine makes of a stored row -------------------------------------------------

    def shown(self, text: bytes) -> bytes:
        """Return a stored row as this engine serves it."""
        return text

    def timestamp(self, row: Stored) -> Any:
        """Return the time this engine shows of a row."""
        return row.message.get("timestamp")

    def reachable(self, chat_id: str) -> bool:
        """Tell whether a reader of this engine can get the messages of a chat."""
        return True

    def edited(self, row: Stored, body: str, at: int) -> Json:
        """Return the stored row after an edit."""
        raise NotImplementedError

    def revoked(self, row: Stored, stanza_id: str, at: int) -> Json | None:
        """Return the row that takes the place of a revoked one; None when it just disappears."""
        return None

    def fact(self, chat_id: str, text: bytes) -> Fact:
        """Return what is true about a stored row, as this engine shows it."""
        row = Stored.parse(text)
        return Fact(
            to_shown(chat_id),
            row.stanza_id,
            self.timestamp(row),
            row.is_own(self.own),
            row.kind,
            row.digest,
            row.ack,
        )

    def facts(self) -> Iterator[Fact]:
        """Yield what is true about every message a reader can get now."""
        for chat_id, text in self.account.stored():
            if self.reachable(chat_id):
                yield self.fact(chat_id, text)

    # -- the server and its session ---------------------------------------------------------

    async def ping(self, call: Call) -> Answer:
        """Say that the server is there."""
        return Answer.of({"message": "pong"})

    async def server_version(self, call: Call) -> Answer:
        """Name version, engine and tier."""
        return Answer.of(self.version)

    async def server_status(self, call: Call) -> Answer:
        """Tell since when the server runs, in milliseconds."""
        uptime = int((time.time() - self.started) * 1000)
        started = int(self.started * 1000)
        return Answer.of({"startTimestamp": started, "uptime": uptime, "worker": {"id": ""}})

    async def sessions(self, call: Call) -> Answer:
        """List the sessions; stopped ones only when asked for all."""
        everything = call.query.boolean("all", False)
        call.query.done()
        if self._status(call) == "STOPPED" and not everything:
            return Answer.of([])
        shown = [engine._session_info(call) for engine in (self, *self.others)]
        for info in shown:
            del info["engine"]
        return Answer.of(shown)

    async def session(self, call: Call) -> Answer:
        """Describe one session."""
        self._own_session(call.session, data=False)
        if call.query.text("expand") == "apps":
            raise refuse(422, _NO_APPS)
        return Answer.of(self._session_info(call))

    async def me(self, call: Call) -> Answer:
        """Name the account; a stopped session is not found."""
        self._own_session(call.session, data=False)
        if self._status(call) == "STOPPED":
            raise refuse(404, _NOT_STARTED.format(name=call.session))
        return Answer.of(self._session_info(call)["me"])

    def _status(self, call: Call) -> str:
        return call.status or self.control.status

    def _session_info(self, call: Call) -> dict[str, Any]:
        status = self._status(call)
        info = dict(self.account.session)
        info["status"] = status
        if self.name != (info.get("engine") or {}).get("engine", "NOWEB"):
            info |= {"config": self.config, "engine": {"engine": self.name}}
            info["me"] = self._me()
        if not self.control.store_enabled:
            info["config"] = {}
        if status in ("STOPPED", "STARTING"):
            info["me"] = None
        if status == "STOPPED":
            info |= {"presence": None, "timestamps": {"activity": None}, "engine": {}}
        info.setdefault("engine", {"engine": self.name})
        return info

    def _me(self) -> Json | None:
        """Return the account as this engine names it."""
        me: Json | None = self.account.session.get("me")
        return me

    def _own_session(self, name: str, data: bool = True) -> None:
        if name == self.account.name:
            return
        if self.version.get("tier") == "CORE" and self.number < (2026, 6, 0):
            code = base64.b64encode(name.encode()).decode()
            raise refuse(422, _CORE_ONLY.format(name=name, code=code))
        if not data:
            raise refuse(404, "Session not found")
        raise RefusalError(422, {"error": f'Session "{name}" does not exist', "session": name})

    async def _working(self, call: Call, store: bool = True) -> None:
        """Wait for WORKING as WAHA does, then refuse; refuse too without the store."""
        name = call.session
        self._own_session(name)
        wait = 5.0 if self._status(call) == "STOPPED" else 10.0
        deadline = time.monotonic() + wait * self.control.wait_scale
        while self._status(call) != "WORKING" and time.monotonic() < deadline:
            await asyncio.sleep(min(0.05, wait * self.control.wait_scale))
        status = self._status(call)
        if status != "WORKING":
            raise RefusalError(
                422,
                {
                    "error": _STATUS_MESSAGE,
                    "session": name,
                    "status": status,
                    "expected": ["WORKING"],
                },
            )
        if store and not self.control.store_enabled:
            raise refuse(400, _NO_STORE)

    # -- messages ---------------------------------------------------------------------------

    async def _message_query(self, call: Call) -> MessageQuery:
        """Read the parameters of a listing and wait for the session."""
        query = call.query
        call.session  # noqa: B018 - raises when nobody named one
        paging = Paging.read(query, ("timestamp", "messageTimestamp"), limit=10)
        query.boolean("downloadMedia", True)
        merge = query.boolean("merge", True) is not False
        window = _window(query)
        query.done()
        await self._working(call)
        chat_id = call.parts.get("chat_id") or query.text("chatId") or ""
        if not self.is_old:
            return MessageQuery(chat_id, paging, merge, window)
        plain = Paging(paging.limit, paging.offset, None, None)
        return MessageQuery(chat_id, plain, False, Window() if chat_id == "all" else window)

    def _rows(self, texts: list[bytes], tricks: Tricks) -> list[bytes]:
        """Convert rows, and write some of them twice when that is the trick."""
        rows = [self.shown(text) for text in texts]
        return rows if tricks.double is None else _doubled(rows, tricks.double)

    async def _named_message(self, call: Call) -> tuple[str, bool]:
        """Read the parameters of a request for one message: its stanza id, and merge."""
        call.query.boolean("downloadMedia", True)
        merge = call.query.boolean("merge", True) is not False
        call.query.done()
        await self._working(call)
        return _stanza_id(call.parts["message_id"]), merge and not self.is_old

    def _downloaded(self, call: Call, found: bytes) -> bytes:
        """Return one stored row as this engine serves it, its file fetched if that is asked for."""
        shown = self.shown(found)
        row = Stored.parse(shown)
        if call.query.boolean("downloadMedia", True) is False or not row.message.get("hasMedia"):
            return shown
        media = files.media(Stored.parse(found), self.account.name)
        return js_dumps(row.message | {"media": media})

    async def file(self, call: Call) -> Answer:
        """Return the bytes of a media file."""
        name = call.parts["file"]
        found = self.account.message(name.rpartition(".")[0], None)
        row = Stored.parse(found) if found is not None else None
        if (
            row is None
            or call.session != self.account.name
            or not row.message.get("hasMedia")
            or files.name(row) != name
            or files.is_expired(row.stanza_id)
        ):
            raise refuse(404, "File not found")
        content, mimetype = files.content(row)
        return Answer(content, 200, {"content-type": mimetype, "accept-ranges": "bytes"})

    # -- contacts and LIDs ------------------------------------------------------------------

    async def contact(self, call: Call) -> Answer:
        """Return one contact; an unknown one is an empty body, and `all` is an id here."""
        contact_id = call.parts.get("contact_id") or call.query.text("contactId") or ""
        await self._working(call)
        return Answer(self._contact(contact_id) or b"")

    def _contact(self, contact_id: str) -> bytes | None:
        return self.account.contact(contact_id)

    async def profile_picture(self, call: Call) -> Answer:
        """Say where a contact's picture is; null where WhatsApp shows none."""
        call.session  # noqa: B018 - raises when nobody named one
        contact_id = call.query.text("contactId") or ""
        call.query.boolean("refresh", False)
        call.query.done()
        await self._working(call, store=False)
        return Answer(b'{"profilePictureURL":%s}' % self.account.picture(contact_id))

    async def lids(self, call: Call) -> Answer:
        """List LID mappings; 100 by default."""
        paging = Paging.read(call.query, limit=100)
        call.query.done()
        await self._working(call)
        pairs = paging.cut(self._lid_pairs())
        return Answer.of([{"lid": lid, "pn": number} for lid, number in pairs])

    def _lid_pairs(self) -> list[tuple[str, str]]:
        """Return the LID table in this engine's order."""
        return sorted(self.account.lids())

    async def lids_count(self, call: Call) -> Answer:
        """Count the LID mappings."""
        await self._working(call)
        return Answer.of({"count": len(self.account.lids())})

    async def lid_of_number(self, call: Call) -> Answer:
        """Return the LID of a phone id; null when unknown."""
        await self._working(call)
        number = to_shown(to_jid(call.parts["number"]))
        return Answer.of({"lid": self.account.lid_of(number), "pn": number})

    async def number_of_lid(self, call: Call) -> Answer:
        """Return the phone id of a LID; null when unknown, 422 for another suffix."""
        await self._working(call)
        lid = call.parts["lid"]
        if not lid.endswith("@lid"):
            raise refuse(422, "Invalid LID - it must end with @lid")
        return Answer.of({"lid": lid, "pn": self.account.number_of(lid)})

    # -- groups -----------------------------------------------------------------------------

    async def groups(self, call: Call) -> Answer:
        """List the groups."""
        paging = Paging.read(call.query, ("id", "subject"))
        call.query.done()
        await self._working(call, store=False)
        rows = [(key, msgspec.json.decode(raw)) for key, raw in self.account.groups.items()]
        if paging.sort_by:
            sort_by, back = paging.sort_by, bool(paging.descending(False))
            rows.sort(key=lambda row: str(row[1].get(sort_by) or ""), reverse=back)
        plain = "participants" in (call.query.many("exclude") or [])
        return self._groups(paging.cut(rows), plain)

    def _groups(self, rows: list[tuple[str, Json]], plain: bool) -> Answer:
        """Write groups as a list in this engine's shape."""
        return Answer.of([self._group(group, plain) for _, group in rows])

    def _group(self, group: Json, plain: bool) -> Json:
        raise NotImplementedError

    async def groups_count(self, call: Call) -> Answer:
        """Count the groups."""
        await self._working(call, store=False)
        return Answer.of({"count": len(self.account.groups)})

    # -- overview ---------------------------------------------------------------------------

    async def overview(self, call: Call) -> Answer:
        """List chats with their last message; 20 by default."""
        paging = Paging.read(call.query, limit=20)
        merge = call.query.boolean("merge", True) is not False
        call.query.done()
        await self._working(call)
        return self._overview(paging, merge, call.query.many("ids"))

    async def post_overview(self, call: Call) -> Answer:
        """List chats as the GET does; without `pagination` WAHA crashes."""
        await self._working(call)
        body = call.body if isinstance(call.body, dict) else {}
        paging = body.get("pagination")
        if not isinstance(paging, dict):
            raise CrashError(
                "Cannot read properties of undefined (reading 'merge')", name="TypeError"
            )
        ids = (body.get("filter") or {}).get("ids")
        read = Paging(paging.get("limit", 20), paging.get("offset"), None, None)
        answer = self._overview(read, paging.get("merge", True) is not False, ids)
        return Answer(answer.body, 201)

    def _overview(self, paging: Paging, merge: bool, ids: list[str] | None) -> Answer:
        raise NotImplementedError


def _doubled(rows: list[bytes], seed: int) -> list[bytes]:
    """Write about every sixth row twice, one after the other."""
    return [
        row
        for place, row in enumerate(rows)
        for _ in range(2 if (place * 7919 + seed) % 6 == 0 else 1)
    ]


def _window(query: Query) -> Window:
    gte = query.number("filter.timestamp.gte")
    lte = query.number("filter.timestamp.lte")
    from_me = query.boolean("filter.fromMe")
    ack = query.choice("filter.ack", ACKS)
    return Window(gte, lte, from_me, ACKS.get(ack) if ack is not None else None)


def _stanza_id(message_id: str) -> str:
    parts = message_id.split("_")
    if len(parts) == 1:
        return message_id
    if len(parts) not in (3, 4):
        raise CrashError(_BAD_MESSAGE_ID)
    return parts[2]


def without_participants(group: Json) -> bytes:
    """Write a group without its members."""
    return js_dumps({name: value for name, value in group.items() if name != "participants"})
