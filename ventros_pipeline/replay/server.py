"""The replay server: an account over real HTTP on loopback.

Belongs here: the ASGI application, finding the route, key, latency, faults, and running uvicorn in
a thread or in the foreground. Does not belong here: what an engine answers (`noweb`).
"""

import asyncio
import datetime
import json
import socket
import struct
import threading
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from ventros_pipeline.replay.account import Account
from ventros_pipeline.replay.control import Control, Fault, FaultHook, Request, Stats
from ventros_pipeline.replay.engine import MESSAGES, ROUTES, Call, Engine, Route
from ventros_pipeline.replay.faults import PROFILES, Faults
from ventros_pipeline.replay.gows import Gows
from ventros_pipeline.replay.live import LiveChanges
from ventros_pipeline.replay.noweb import Noweb
from ventros_pipeline.replay.params import Query, decode_part
from ventros_pipeline.replay.truth import Truth
from ventros_pipeline.replay.webjs import Webjs
from ventros_pipeline.replay.wire import (
    Answer,
    CrashError,
    RefusalError,
    etag,
    refuse,
    unauthorized,
)
from ventros_pipeline.replay.wpp import Wpp

DEFAULT_KEY = "replay-key"
ENGINES: dict[str, type[Engine]] = {"noweb": Noweb, "gows": Gows, "webjs": Webjs, "wpp": Wpp}
_WIRE = "ventros.wire"
_FAREWELL = 5.0
_UNKNOWN = "(unknown)"
_NO_FAULT = Fault()
_JSON = "application/json; charset=utf-8"


def create_app(
    account: Account,
    *,
    api_key: str = DEFAULT_KEY,
    latency_ms: float = 0,
    engine: str = "noweb",
    version: str | None = None,
    minified_ids: bool = False,
    control: Control | None = None,
    others: Sequence[Account] = (),
) -> Starlette:
    """Build the ASGI application that serves an account.

    Args:
        account: what to serve.
        api_key: the key clients must send; ignored when a control is given.
        latency_ms: time added to every answer; ignored when a control is given.
        engine: the WAHA engine to imitate: noweb, gows, webjs or wpp.
        version: the WAHA version to claim; below 2026.3.1 the server knows no `merge`, no
            `sortOrder` and no filters for `all`. By default the account's own.
        minified_ids: WEBJS writes `$1` where ids had `_serialized`.
        control: the switches to obey, to share them with a test.
        others: further accounts, each under its own session's name; the switches are the server's
            and hold for all of them.

    Returns:
        The application; its switches are at `app.state.control`, what it answers with at
        `app.state.engine`.

    Raises:
        ValueError: the engine is unknown.
    """
    kind = ENGINES.get(engine)
    if kind is None:
        raise ValueError(f"unknown engine {engine!r}: one of {', '.join(ENGINES)}")
    if control is None:
        control = Control(api_key, latency_ms=latency_ms)
    engines = [kind(served, control, version=version) for served in (account, *others)]
    for served in engines:
        if isinstance(served, Webjs):
            served.minified = minified_ids
    app = Starlette(routes=[Mount("/", app=_Endpoint(engines, control))])
    app.state.control = control
    app.state.engine = engines[0]
    return app


class _Endpoint:
    """The one ASGI endpoint: Express's routing is not Starlette's, so it is done here."""

    def __init__(self, engines: Sequence[Engine], control: Control) -> None:
        self._engine, *others = engines
        self._engine.others = others
        self._by_session = {engine.account.name: engine for engine in reversed(engines)}
        self._control = control
        self._last: dict[str, tuple[Request, Answer]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw_path = scope["raw_path"].decode("latin-1").split("?")[0]
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        query = Query.parse(scope["query_string"])
        route, parts = _match(method, raw_path)
        template = route.template if route else _UNKNOWN
        stats = self._control.stats
        request = stats.arrived(scope["method"], raw_path, template, query.echo())
        answer: Answer | None = None
        fault = _NO_FAULT
        try:
            fault = self._control.arrived(request) or _NO_FAULT
            await asyncio.sleep(self._control.latency_ms / 1000 + fault.delay)
            if not fault.reset:
                call = Call(query, parts, None, fault.session_status, fault.tricks)
                answer = await self._spoiled(scope, receive, request, route, call, fault)
        finally:
            # Counted before it is sent: who has an answer must find it in the statistics, and a
            # client that asks one by one must never seem to ask two at a time.
            stats.left(answer.status if answer else 0, len(answer.body) if answer else 0, request)
        if answer is None:
            await _reset(scope)
            return
        await _send(scope, send, answer, fault.keep)
        if fault.hang_up:
            await _hang_up(scope)

    async def _spoiled(
        self,
        scope: Scope,
        receive: Receive,
        request: Request,
        route: Route | None,
        call: Call,
        fault: Fault,
    ) -> Answer:
        """Return the true answer, or what the fault puts in its place."""
        if fault.status is not None:
            return Answer(fault.body, fault.status, fault.headers)
        if fault.tricks.repeat and (earlier := self._earlier(request)):
            return earlier
        call.body = await _read(receive)
        answer = await self._answer(scope, request, route, call)
        if request.template == MESSAGES and answer.status == 200:
            self._last[request.path] = (request, answer)
        return replace(answer, headers=answer.headers | fault.headers)

    def _earlier(self, request: Request) -> Answer | None:
        """Return the answer before, if the offset was another one and nothing else.

        Who begins anew, at offset 0, gets no page of a reading that ended hours ago.
        """
        before, answer = self._last.get(request.path, (request, None))
        is_turned = request.query.get("offset", "0") != "0" and before.query != request.query
        is_page = is_turned and _but_offset(before) == _but_offset(request)
        return answer if is_page else None

    async def _answer(
        self, scope: Scope, request: Request, route: Route | None, call: Call
    ) -> Answer:
        try:
            if route is None or route.guarded:
                self._check_key(scope, request.path)
            if route is None:
                raise refuse(404, f"Cannot {request.method} {request.path}")
            call.parts = {name: decode_part(part) for name, part in call.parts.items()}
            answer = await self._engine_of(call).handler(route)(call)
        except RefusalError as refusal:
            return Answer.of(refusal.payload, refusal.status)
        except CrashError as crash:
            return self._crashed(crash, scope, request, call.query, call.body)
        return _not_modified(scope, answer)

    def _engine_of(self, call: Call) -> Engine:
        """Return the engine of the session that is named; the first one where it is nobody's."""
        name = call.parts.get("session") or call.query.text("session")
        return self._by_session.get(str(name), self._engine)

    def _check_key(self, scope: Scope, path: str) -> None:
        if not path.startswith("/api"):
            return
        # Without a key of its own the server asks for none, like WAHA under WAHA_NO_API_KEY.
        key = self._control.api_key
        if key and _header(scope, b"x-api-key") != key:
            raise unauthorized()

    def _crashed(
        self, crash: CrashError, scope: Scope, request: Request, query: Query, body: Any
    ) -> Answer:
        asked = scope["query_string"].decode("latin-1")
        echo: dict[str, Any] = {
            "path": request.path + (f"?{asked}" if asked else ""),
            "method": request.method,
        }
        if request.method == "POST":
            echo["body"] = body
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        return Answer.of(
            {
                "statusCode": 500,
                "timestamp": now.replace("+00:00", "Z"),
                "exception": crash.exception,
                "request": echo | {"query": query.echo()},
                "version": self._engine.version,
            },
            500,
        )


def _but_offset(request: Request) -> dict[str, object]:
    """Return what a listing asks for, without its offset."""
    return {name: value for name, value in request.query.items() if name != "offset"}


def _match(method: str, raw_path: str) -> tuple[Route | None, dict[str, str]]:
    """Find the route; fixed words win over parameters (`lids/count` over `lids/{lid}`)."""
    best: tuple[Route | None, dict[str, str]] = (None, {})
    for route in ROUTES:
        found = route.pattern.fullmatch(raw_path) if route.method == method else None
        if found and (best[0] is None or len(found.groupdict()) < len(best[1])):
            best = (route, found.groupdict())
    return best


def _header(scope: Scope, name: bytes) -> str | None:
    found = [value for key, value in scope["headers"] if key == name]
    return found[0].decode("latin-1") if found else None


async def _read(receive: Receive) -> Any:
    """Read the request body as JSON; anything else is none."""
    raw = b""
    while True:
        event = await receive()
        raw += event.get("body", b"")
        if event["type"] == "http.disconnect" or not event.get("more_body"):
            break
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return None


def _not_modified(scope: Scope, answer: Answer) -> Answer:
    asked = _header(scope, b"if-none-match")
    if asked is None or not answer.body or scope["method"] not in ("GET", "HEAD"):
        return answer
    known = {tag.strip().removeprefix("W/") for tag in asked.split(",")}
    same = etag(answer.body).removeprefix("W/") in known or "*" in known
    return Answer(b"", 304, {"etag": etag(answer.body)}) if same else answer


def _headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    headers = {
        "x-powered-by": "Express",
        "access-control-allow-origin": "*",
        **answer.headers,
    }
    if answer.body:
        headers.setdefault("content-type", _JSON)
        headers.setdefault("etag", etag(answer.body))
    if answer.status != 304:
        headers["content-length"] = str(len(answer.body))
        headers["keep-alive"] = "timeout=5"
    return [(name.encode(), value.encode()) for name, value in headers.items()]


async def _send(scope: Scope, send: Send, answer: Answer, keep: float | None) -> None:
    head = {"type": "http.response.start", "status": answer.status, "headers": _headers(answer)}
    await send(head)
    if keep is None:
        await send({"type": "http.response.body", "body": answer.body})
        return
    part = answer.body[: int(len(answer.body) * keep)]
    await send({"type": "http.response.body", "body": part, "more_body": True})
    await _hang_up(scope)


async def _hang_up(scope: Scope) -> None:
    wire = _wire(scope)
    wire.transport.close()
    await wire.let_go()


async def _reset(scope: Scope) -> None:
    """Send a TCP reset: closing with a linger time of zero."""
    wire = _wire(scope)
    linger = struct.pack("ii", 1, 0)
    connection = wire.transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    wire.transport.abort()
    await wire.let_go()


@dataclass
class _Wire:
    """The connection under a request, and the moment it is gone."""

    transport: Any
    gone: asyncio.Event

    async def let_go(self) -> None:
        """Wait until the connection is gone, or uvicorn thinks the answer was forgotten."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.gone.wait(), _FAREWELL)


def _wire(scope: Scope) -> _Wire:
    wire: _Wire | None = scope.get(_WIRE)
    if wire is None:
        raise ConnectionAbortedError("this server cannot cut a connection")
    return wire


class _Protocol(H11Protocol):
    """uvicorn's HTTP protocol, which also hands the connection to the application."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        app = self.app
        self._wire = _Wire(transport, asyncio.Event())

        async def with_wire(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
            scope[_WIRE] = self._wire
            await app(scope, receive, send)

        self.app = with_wire

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._wire.gone.set()


class _Server(uvicorn.Server):
    """uvicorn that says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


def _server(app: ASGIApp) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            http=_Protocol,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=1,
        )
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named TCP, or asyncio leaves Nagle's algorithm on and every answer waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(512)  # who knows the port may connect at once
    except OSError:
        listener.close()
        raise
    return listener


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class ReplayServer:
    """A replay server in a thread of its own, as a context manager.

    Attributes:
        account: the account served; change it with its own methods while it runs.
        control: session state, store switch, key, waits, latency, faults, ghosts.
        url: where it listens.
    """

    def __init__(
        self,
        account: Account | str | Path,
        *,
        api_key: str = DEFAULT_KEY,
        latency_ms: float = 0,
        engine: str = "noweb",
        version: str | None = None,
        minified_ids: bool = False,
        wait_scale: float = 0.0,
        fault: FaultHook | None = None,
        faults: str = "none",
        seed: int = 0,
        pace: float = 1.0,
        live: LiveChanges | None = None,
        script: Sequence[tuple[int, str]] = (),
        others: Sequence[Account] = (),
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Prepare a server; `start`, or entering it, lets it listen.

        Args:
            account: what to serve: an account, or its folder.
            api_key: the key clients must send.
            latency_ms: time added to every answer.
            engine: the WAHA engine to imitate.
            version: the WAHA version to claim; see `create_app`.
            minified_ids: see `create_app`.
            wait_scale: factor on WAHA's 5 to 10 s wait before it says a session is not WORKING.
            fault: a hook that spoils answers, in place of a profile.
            faults: the profile of faults: none, flaky or hostile.
            seed: what decides which request meets which fault.
            pace: factor on the profile's delays and `Retry-After`; tests take a small one.
            live: changes made while the account is being read.
            script: (request number, session status) pairs.
            others: further accounts, each under its own session's name; whoever gives them closes
                them.
            host: address to listen on.
            port: port to listen on; 0 takes a free one.
        """
        self._owned = not isinstance(account, Account)
        self.account = account if isinstance(account, Account) else Account.load(account)
        self.control = Control(api_key, latency_ms=latency_ms, wait_scale=wait_scale, fault=fault)
        self.control.script = list(script)
        if fault is None:
            _spoil(self.control, faults, seed, pace)
        self._app = create_app(
            self.account,
            engine=engine,
            version=version,
            minified_ids=minified_ids,
            control=self.control,
            others=others,
        )
        self.engine: Engine = self._app.state.engine
        self._since = len(self.account.journal)
        self.live = live
        if live is not None:
            self.control.watchers.append(live.bind(self.engine))
        self._host = host
        self._port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def truth(self) -> Truth:
        """What existed the whole time, what appeared and what vanished, since this was made."""
        engine = self.engine
        with self.account.lock:
            changes = [
                (
                    engine.fact(change.chat_id, change.before) if change.before else None,
                    engine.fact(change.chat_id, change.after) if change.after else None,
                )
                for change in self.account.journal[self._since :]
                if engine.reachable(change.chat_id)
            ]
            return Truth.of(engine.facts(), changes)

    @property
    def api_key(self) -> str:
        """The key the server accepts now."""
        return self.control.api_key

    @property
    def stats(self) -> Stats:
        """What was asked and sent so far."""
        return self.control.stats

    @property
    def url(self) -> str:
        """The base URL; the port is known as soon as the server is started."""
        return _url(self._host, self._port)

    def start(self) -> "ReplayServer":
        """Listen, and return when requests are answered."""
        listener = _listen(self._host, self._port)
        self._port = listener.getsockname()[1]
        self._server = _server(self._app)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, daemon=True
        )
        self._thread.start()
        if not self._server.listening.wait(10):
            raise RuntimeError("the replay server did not start")
        return self

    def stop(self) -> None:
        """Stop listening and let the thread end; the account is closed when it was ours."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(10)
        self._server = self._thread = None
        if self._owned:
            self.account.close()

    def __enter__(self) -> "ReplayServer":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _spoil(control: Control, faults: str, seed: int, pace: float) -> None:
    """Give a server a profile of faults."""
    profile = PROFILES.get(faults)
    if profile is None:
        raise ValueError(f"unknown faults {faults!r}: one of {', '.join(PROFILES)}")
    if profile.rates:
        control.fault = Faults(profile, seed, pace)
    control.ghosts = profile.haunted(seed)


def serve(
    directory: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 3000,
    engine: str = "noweb",
    latency_ms: float = 0,
    api_key: str = DEFAULT_KEY,
    faults: str = "none",
    seed: int = 0,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve an account folder until interrupted.

    Args:
        directory: folder in the account format.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        engine: the WAHA engine to imitate: noweb, gows, webjs or wpp.
        latency_ms: time added to every answer.
        api_key: the key clients must send.
        faults: how answers are spoiled: none, flaky or hostile.
        seed: what decides which request meets which fault.
        ready: told the base URL as soon as clients may connect.

    Raises:
        ValueError: the engine or the profile of faults is unknown.
    """
    control = Control(api_key, latency_ms=latency_ms)
    _spoil(control, faults, seed, 1.0)
    account = Account.load(directory)
    try:
        app = create_app(account, engine=engine, control=control)
        listener = _listen(host, port)
        if ready is not None:
            ready(_url(host, listener.getsockname()[1]))
        _server(app).run(sockets=[listener])
    finally:
        account.close()


__all__ = ["Fault", "ReplayServer", "Request", "create_app", "serve"]
