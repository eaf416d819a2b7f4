"""What WAHA's NOWEB engine (2026.4.1, sqlite store) answers to each request of a reader.

Belongs here: the routes, their parameters, defaults, complaints and quirks, each as recorded from
a live server. Does not belong here: rows and listings (`account`), sending and spoiling answers
(`server`), other engines (a module each).
"""

import asyncio
import base64
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ventros_pipeline.replay.account import Account, Item
from ventros_pipeline.replay.control import Control
from ventros_pipeline.replay.ids import to_jid, to_shown
from ventros_pipeline.replay.params import Query
from ventros_pipeline.replay.store import Scope, Window
from ventros_pipeline.replay.wire import (
    Answer,
    CrashError,
    RefusalError,
    join_array,
    js_dumps,
    refuse,
    sql_error,
)

ACKS = {"ERROR": 0, "PENDING": 1, "SERVER": 2, "DEVICE": 3, "READ": 4, "PLAYED": 5}
_SQL_INTEGER = float(2**63 - 1)
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
    """One request, decoded."""

    query: Query
    parts: dict[str, str] = field(default_factory=dict)
    body: Any = None

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
        """The limit as the store takes it: none is -1, and any negative means no limit."""
        return -1 if self.limit is None else int(self.limit)

    @property
    def start(self) -> int:
        """The offset as the store takes it; a negative one crashes WAHA."""
        if self.offset is not None and self.offset < 0:
            raise CrashError("A non-negative integer must be provided to offset.")
        return int(self.offset or 0)

    def descending(self, default: bool) -> bool | None:
        """Return the direction; None when the word is not one SQL knows."""
        word = (self.sort_order or ("desc" if default else "asc")).lower()
        return {"asc": False, "desc": True}.get(word)

    def cut(self, rows: list[Any]) -> list[Any]:
        """Apply limit and offset to a list."""
        start = self.start
        return rows[start:] if self.count < 0 else rows[start : start + self.count]

    def check_sql(self, sql: Callable[[str], str], default_descending: bool) -> bool:
        """Return the direction or raise what the store says to this paging."""
        self.start  # noqa: B018 - raises on a negative offset
        word = self.sort_order or ("desc" if default_descending else "asc")
        statement = sql(word) + (f" limit {_js_integer(self.limit)}" if self.limit else "")
        direction = self.descending(default_descending)
        if direction is None:
            near = word.split()[0] if word.split() else word
            detail = f'near "{near}": syntax error'
            raise sql_error(statement, "SQLITE_ERROR", 1, detail)
        if abs(self.limit or 0) > _SQL_INTEGER or (self.offset or 0) > _SQL_INTEGER:
            raise sql_error(statement, "SQLITE_MISMATCH", 20, "datatype mismatch")
        return direction


def _js_integer(value: float | None) -> str:
    """Write a limit as JavaScript writes the number."""
    number = value or 0.0
    return str(int(number)) if abs(number) < 1e21 else repr(number)


Handler = Callable[["Noweb", Call], Awaitable[Answer]]


@dataclass(frozen=True)
class Route:
    """An endpoint: method, template, who answers, and whether it needs the key."""

    method: str
    template: str
    handler: Handler
    pattern: re.Pattern[str]
    guarded: bool = True


ROUTES: list[Route] = []


def route(method: str, template: str, guarded: bool = True) -> Callable[[Handler], Handler]:
    """Register a handler for an endpoint template."""
    pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template))

    def register(handler: Handler) -> Handler:
        ROUTES.append(Route(method, template, handler, pattern, guarded))
        return handler

    return register


class Noweb:
    """The engine: an account, the switches of the server, and the answers."""

    def __init__(self, account: Account, control: Control) -> None:
        self.account = account
        self.control = control
        self.started = time.time()

    # -- the server and its session ---------------------------------------------------------

    @route("GET", "/ping", guarded=False)
    async def ping(self, call: Call) -> Answer:
        """Say that the server is there."""
        return Answer.of({"message": "pong"})

    @route("GET", "/api/version")
    @route("GET", "/api/server/version")
    async def server_version(self, call: Call) -> Answer:
        """Name version, engine and tier."""
        return Answer.of(self.account.version)

    @route("GET", "/api/server/status")
    async def server_status(self, call: Call) -> Answer:
        """Tell since when the server runs, in milliseconds."""
        uptime = int((time.time() - self.started) * 1000)
        started = int(self.started * 1000)
        return Answer.of({"startTimestamp": started, "uptime": uptime, "worker": {"id": ""}})

    @route("GET", "/api/sessions")
    async def sessions(self, call: Call) -> Answer:
        """List the sessions; stopped ones only when asked for all."""
        everything = call.query.boolean("all", False)
        call.query.done()
        if self.control.status == "STOPPED" and not everything:
            return Answer.of([])
        info = self._session_info()
        del info["engine"]
        return Answer.of([info])

    @route("GET", "/api/sessions/{session}")
    async def session(self, call: Call) -> Answer:
        """Describe one session."""
        self._own_session(call.session, data=False)
        if call.query.text("expand") == "apps":
            raise refuse(422, _NO_APPS)
        return Answer.of(self._session_info())

    @route("GET", "/api/sessions/{session}/me")
    async def me(self, call: Call) -> Answer:
        """Name the account; a stopped session is not found."""
        self._own_session(call.session, data=False)
        if self.control.status == "STOPPED":
            raise refuse(404, _NOT_STARTED.format(name=call.session))
        return Answer.of(self._session_info()["me"])

    def _session_info(self) -> dict[str, Any]:
        status = self.control.status
        info = dict(self.account.session)
        info["status"] = status
        if not self.control.store_enabled:
            info["config"] = {}
        if status in ("STOPPED", "STARTING"):
            info["me"] = None
        if status == "STOPPED":
            info |= {"presence": None, "timestamps": {"activity": None}, "engine": {}}
        info.setdefault("engine", {"engine": "NOWEB"})
        return info

    def _own_session(self, name: str, data: bool = True) -> None:
        if name == self.account.name:
            return
        if _is_old_core(self.account.version):
            code = base64.b64encode(name.encode()).decode()
            raise refuse(422, _CORE_ONLY.format(name=name, code=code))
        if not data:
            raise refuse(404, "Session not found")
        raise RefusalError(422, {"error": f'Session "{name}" does not exist', "session": name})

    async def _working(self, name: str, store: bool = True) -> None:
        """Wait for WORKING as WAHA does, then refuse; refuse too without the store."""
        self._own_session(name)
        wait = 5.0 if self.control.status == "STOPPED" else 10.0
        deadline = time.monotonic() + wait * self.control.wait_scale
        while self.control.status != "WORKING" and time.monotonic() < deadline:
            await asyncio.sleep(min(0.05, wait * self.control.wait_scale))
        if self.control.status != "WORKING":
            raise RefusalError(
                422,
                {
                    "error": _STATUS_MESSAGE,
                    "session": name,
                    "status": self.control.status,
                    "expected": ["WORKING"],
                },
            )
        if store and not self.control.store_enabled:
            raise refuse(400, _NO_STORE)

    # -- chats ------------------------------------------------------------------------------

    @route("GET", "/api/{session}/chats")
    async def chats(self, call: Call) -> Answer:
        """List chats; no default limit, newest first."""
        paging = Paging.read(call.query, ("conversationTimestamp", "id", "name"))
        merge = call.query.boolean("merge", True) is not False
        call.query.done()
        await self._working(call.session)
        sort_by = paging.sort_by or "conversationTimestamp"
        column = f"chats.data->'$.{sort_by}'" if sort_by == "name" else f"`{sort_by}`"
        table = _FOLDED_CHATS if merge else _PLAIN_CHATS
        direction = paging.check_sql(lambda word: f"{table} order by {column} {word}", True)
        if sort_by == "name" and merge:
            statement = f"{table} order by {column} {paging.sort_order or 'desc'}"
            limit = f" limit {_js_integer(paging.limit)}" if paging.limit else ""
            raise sql_error(statement + limit, "SQLITE_ERROR", 1, "no such column: chats.data")
        rows = self.account.chats(merge=merge, sort_by=sort_by, descending=direction)
        return _listing(paging.cut(rows))

    @route("GET", "/api/{session}/chats/overview")
    async def overview(self, call: Call) -> Answer:
        """List chats with their last message; 20 by default."""
        paging = Paging.read(call.query, limit=20)
        merge = call.query.boolean("merge", True) is not False
        call.query.done()
        await self._working(call.session)
        return self._overview(paging, merge, call.query.many("ids"))

    @route("POST", "/api/{session}/chats/overview")
    async def post_overview(self, call: Call) -> Answer:
        """List chats as the GET does; without `pagination` WAHA crashes."""
        await self._working(call.session)
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
        wanted = {to_jid(chat_id) for chat_id in ids} if ids else None
        with self.account.lock:
            chosen = paging.cut(self.account.overview(merge, wanted))
            rows = [self.account.overview_row(chat, merge) for chat in chosen]
        return Answer(join_array(rows))

    # -- messages ---------------------------------------------------------------------------

    @route("GET", "/api/{session}/chats/{chat_id}/messages")
    async def messages(self, call: Call) -> Answer:
        """List the messages of a chat, or of `all`; 10 by default, newest first."""
        return await self._messages(call, call.parts["chat_id"])

    @route("GET", "/api/messages")
    async def old_messages(self, call: Call) -> Answer:
        """List messages the deprecated way: session and chat in the query."""
        return await self._messages(call, call.query.text("chatId") or "")

    async def _messages(self, call: Call, chat_id: str) -> Answer:
        query = call.query
        session = call.session
        paging = Paging.read(query, ("timestamp", "messageTimestamp"), limit=10)
        query.boolean("downloadMedia", True)
        merge = query.boolean("merge", True) is not False
        window = _window(query)
        query.done()
        await self._working(session)
        scope = self.account.scope(chat_id, merge)
        descending = paging.check_sql(lambda word: _message_sql(chat_id, scope, word), True)
        rows = self.account.page(
            scope, window, descending=descending, limit=paging.count, offset=paging.start
        )
        return Answer(join_array(rows))

    @route("GET", "/api/{session}/chats/{chat_id}/messages/{message_id}")
    async def message(self, call: Call) -> Answer:
        """Return one message by its bare or its full id."""
        call.query.boolean("downloadMedia", True)
        merge = call.query.boolean("merge", True) is not False
        call.query.done()
        await self._working(call.session)
        stanza_id = _stanza_id(call.parts["message_id"])
        found = self.account.message(stanza_id, self.account.scope(call.parts["chat_id"], merge))
        if found is None:
            raise refuse(404, "Message not found")
        return Answer(found)

    # -- contacts ---------------------------------------------------------------------------

    @route("GET", "/api/contacts/all")
    async def contacts(self, call: Call) -> Answer:
        """List contacts in insertion order; no default limit."""
        session = call.session
        paging = Paging.read(call.query, ("id", "name"))
        call.query.done()
        await self._working(session)
        column = paging.sort_by
        order = f" order by {column} " if column else " "
        direction = paging.check_sql(lambda word: _CONTACTS + order + word, False)
        rows = self.account.contacts
        if column:
            rows = sorted(rows, key=lambda item: _sort_text(item, column), reverse=direction)
        return _listing(paging.cut(rows))

    @route("GET", "/api/contacts")
    async def old_contact(self, call: Call) -> Answer:
        """Return one contact the deprecated way."""
        return await self._contact(call.session, call.query.text("contactId") or "")

    @route("GET", "/api/{session}/contacts/{contact_id}")
    async def contact(self, call: Call) -> Answer:
        """Return one contact; `all` is taken for an id here, too."""
        return await self._contact(call.session, call.parts["contact_id"])

    async def _contact(self, session: str, contact_id: str) -> Answer:
        await self._working(session)
        return Answer(self.account.contact(contact_id) or b"")

    # -- LIDs and groups --------------------------------------------------------------------

    @route("GET", "/api/{session}/lids")
    async def lids(self, call: Call) -> Answer:
        """List LID mappings in insertion order; 100 by default."""
        paging = Paging.read(call.query, limit=100)
        call.query.done()
        await self._working(call.session)
        pairs = paging.cut(self.account.lids())
        return Answer.of([{"lid": lid, "pn": number} for lid, number in pairs])

    @route("GET", "/api/{session}/lids/count")
    async def lids_count(self, call: Call) -> Answer:
        """Count the LID mappings."""
        await self._working(call.session)
        return Answer.of({"count": len(self.account.lids())})

    @route("GET", "/api/{session}/lids/pn/{number}")
    async def lid_of_number(self, call: Call) -> Answer:
        """Return the LID of a phone id; null when unknown."""
        await self._working(call.session)
        number = to_shown(to_jid(call.parts["number"]))
        return Answer.of({"lid": self.account.lid_of(number), "pn": number})

    @route("GET", "/api/{session}/lids/{lid}")
    async def number_of_lid(self, call: Call) -> Answer:
        """Return the phone id of a LID; null when unknown, 422 for another suffix."""
        await self._working(call.session)
        lid = call.parts["lid"]
        if not lid.endswith("@lid"):
            raise refuse(422, "Invalid LID - it must end with @lid")
        return Answer.of({"lid": lid, "pn": self.account.number_of(lid)})

    @route("GET", "/api/{session}/groups")
    async def groups(self, call: Call) -> Answer:
        """Return the groups as one object keyed by id."""
        paging = Paging.read(call.query, ("id", "subject"))
        call.query.done()
        await self._working(call.session, store=False)
        rows = list(self.account.groups.items())
        if paging.sort_by:
            sort_by = paging.sort_by
            rows.sort(
                key=lambda pair: _field(pair[1], sort_by), reverse=bool(paging.descending(False))
            )
        plain = "participants" in (call.query.many("exclude") or [])
        pairs = [
            js_dumps(group_id) + b":" + (_without_participants(raw) if plain else raw)
            for group_id, raw in paging.cut(rows)
        ]
        return Answer(b"{" + b",".join(pairs) + b"}")

    @route("GET", "/api/{session}/groups/count")
    async def groups_count(self, call: Call) -> Answer:
        """Count the groups."""
        await self._working(call.session, store=False)
        return Answer.of({"count": len(self.account.groups)})


def _listing(items: list[Item]) -> Answer:
    return Answer(join_array([item.raw for item in items]))


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


def _is_old_core(version: dict[str, Any]) -> bool:
    """Tell whether the server knows one session only: Core before 2026.6."""
    year, month = [*re.findall(r"\d+", str(version.get("version", ""))), "0", "0"][:2]
    return version.get("tier") == "CORE" and (int(year), int(month)) < (2026, 6)


def _sort_text(item: Item, column: str) -> bytes:
    if column == "id":
        return item.id.encode()
    return b"" if item.name is None else js_dumps(item.name)


def _field(raw: bytes, name: str) -> str:
    return str(msgspec.json.decode(raw).get(name) or "")


def _without_participants(raw: bytes) -> bytes:
    group = msgspec.json.decode(raw)
    group.pop("participants", None)
    return js_dumps(group)


_MESSAGES = "select `messages`.* from `messages`"
_CONTACTS = "select * from `contacts`"
_LIDS_OF = "select `id` from `lid_map` where `pn` ="
_PLAIN_CHATS = "select * from `chats` where `chats`.`conversationTimestamp` is not null"
_FOLDED_CHATS = (
    "select * from (select `annotated_chats`.*, ROW_NUMBER() OVER (PARTITION BY"
    ' annotated_chats.primary_jid ORDER BY annotated_chats."conversationTimestamp" DESC,'
    " annotated_chats.primary_priority ASC) as __rownum from (select `chats`.*, CASE WHEN"
    ' "chats"."id" LIKE \'%@lid\' THEN COALESCE(lid_map.pn, "chats"."id") ELSE "chats"."id" END as'
    " primary_jid, CASE WHEN chats.id LIKE '%@lid' THEN 1 ELSE 0 END as primary_priority from"
    " `chats` left join `lid_map` on `lid_map`.`id` = `chats`.`id` where"
    " `chats`.`conversationTimestamp` is not null) as `annotated_chats`) as `ranked_chats` where"
    " `__rownum` = 1"
)


def _message_sql(chat_id: str, scope: Scope, word: str) -> str:
    """Write the statement WAHA echoes when the store refuses a message query."""
    order = f"order by messages.data->'$.messageTimestamp' {word}"
    if scope is None:
        return f"{_MESSAGES} {order}"
    jid = scope[0]
    where = f"`messages`.`jid` = '{jid}'"
    if jid.endswith("@s.whatsapp.net"):
        where = f"({where} or `messages`.`jid` in ({_LIDS_OF} '{jid}'))"
    return f"{_MESSAGES} where {where} {order}"
