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
from collections.abc import Callable, MutableMapping
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
from ventros_pipeline.replay.noweb import ROUTES, Call, Noweb, Route
from ventros_pipeline.replay.params import Query, decode_part
from ventros_pipeline.replay.wire import (
    Answer,
    CrashError,
    RefusalError,
    etag,
    refuse,
    unauthorized,
)

DEFAULT_KEY = "replay-key"
ENGINES = ("noweb", "gows", "webjs", "wpp")
_TRANSPORT = "ventros.transport"
_UNKNOWN = "(unknown)"
_JSON = "application/json; charset=utf-8"


def create_app(
    account: Account,
    *,
    api_key: str = DEFAULT_KEY,
    latency_ms: float = 0,
    engine: str = "noweb",
    control: Control | None = None,
) -> Starlette:
    """Build the ASGI application that serves an account.

    Args:
        account: what to serve.
        api_key: the key clients must send; ignored when a control is given.
        latency_ms: time added to every answer; ignored when a control is given.
        engine: the WAHA engine to imitate; only `noweb` is replayed yet.
        control: the switches to obey, to share them with a test.

    Returns:
        The application; its switches are at `app.state.control`.

    Raises:
        ValueError: the engine is unknown or not replayed yet.
    """
    if engine not in ENGINES:
        raise ValueError(f"unknown engine {engine!r}: one of {', '.join(ENGINES)}")
    if engine != "noweb":
        raise ValueError(f"engine {engine!r} is not replayed yet: only noweb is")
    if control is None:
        control = Control(api_key, latency_ms=latency_ms)
    app = Starlette(routes=[Mount("/", app=_Endpoint(Noweb(account, control), control))])
    app.state.control = control
    return app


class _Endpoint:
    """The one ASGI endpoint: Express's routing is not Starlette's, so it is done here."""

    def __init__(self, engine: Noweb, control: Control) -> None:
        self._engine = engine
        self._control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw_path = scope["raw_path"].decode("latin-1").split("?")[0]
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        query = Query.parse(scope["query_string"])
        route, parts = _match(method, raw_path)
        template = route.template if route else _UNKNOWN
        stats = self._control.stats
        request = stats.arrived(scope["method"], raw_path, template, query.echo())
        status = size = 0
        try:
            fault = self._control.fault(request) if self._control.fault else None
            await asyncio.sleep(self._control.latency_ms / 1000 + (fault.delay if fault else 0))
            if fault is not None and fault.reset:
                await _reset(scope)
                return
            if fault is not None and fault.status is not None:
                answer = Answer(fault.body, fault.status, fault.headers)
            else:
                body = await _read(receive)
                answer = await self._answer(scope, request, route, parts, query, body)
            status, size = answer.status, len(answer.body)
            await _send(scope, send, answer, fault.keep if fault else None)
        finally:
            stats.left(status, size)

    async def _answer(
        self,
        scope: Scope,
        request: Request,
        route: Route | None,
        parts: dict[str, str],
        query: Query,
        body: Any,
    ) -> Answer:
        try:
            if route is None or route.guarded:
                self._check_key(scope, request.path)
            if route is None:
                raise refuse(404, f"Cannot {request.method} {request.path}")
            decoded = {name: decode_part(part) for name, part in parts.items()}
            answer = await route.handler(self._engine, Call(query, decoded, body))
        except RefusalError as refusal:
            return Answer.of(refusal.payload, refusal.status)
        except CrashError as crash:
            return self._crashed(crash, scope, request, query, body)
        return _not_modified(scope, answer)

    def _check_key(self, scope: Scope, path: str) -> None:
        if not path.startswith("/api"):
            return
        if _header(scope, b"x-api-key") != self._control.api_key:
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
                "version": self._engine.account.version,
            },
            500,
        )


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
    transport = scope.get(_TRANSPORT)
    if transport is None:
        raise ConnectionAbortedError("this server cannot cut a connection")
    transport.close()
    await _let_go()


async def _reset(scope: Scope) -> None:
    """Send a TCP reset: closing with a linger time of zero."""
    transport = scope.get(_TRANSPORT)
    if transport is None:
        raise ConnectionAbortedError("this server cannot cut a connection")
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()
    await _let_go()


async def _let_go() -> None:
    """Let the event loop notice that the connection is gone before the application returns."""
    for _ in range(5):
        await asyncio.sleep(0)


class _Protocol(H11Protocol):
    """uvicorn's HTTP protocol, which also hands the transport to the application."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        app = self.app

        async def with_transport(
            scope: MutableMapping[str, Any], receive: Receive, send: Send
        ) -> None:
            scope[_TRANSPORT] = transport
            await app(scope, receive, send)

        self.app = with_transport


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
        control: session state, store switch, key, waits, latency, faults.
        url: where it listens.
    """

    def __init__(
        self,
        account: Account | str | Path,
        *,
        api_key: str = DEFAULT_KEY,
        latency_ms: float = 0,
        engine: str = "noweb",
        wait_scale: float = 0.0,
        fault: FaultHook | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._owned = not isinstance(account, Account)
        self.account = account if isinstance(account, Account) else Account.load(account)
        self.control = Control(api_key, latency_ms=latency_ms, wait_scale=wait_scale, fault=fault)
        self._app = create_app(self.account, engine=engine, control=self.control)
        self._host = host
        self._port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

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


def serve(
    directory: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 3000,
    engine: str = "noweb",
    latency_ms: float = 0,
    api_key: str = DEFAULT_KEY,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve an account folder until interrupted.

    Args:
        directory: folder in the account format.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        engine: the WAHA engine to imitate.
        latency_ms: time added to every answer.
        api_key: the key clients must send.
        ready: told the base URL as soon as clients may connect.
    """
    account = Account.load(directory)
    try:
        app = create_app(account, api_key=api_key, latency_ms=latency_ms, engine=engine)
        listener = _listen(host, port)
        if ready is not None:
            ready(_url(host, listener.getsockname()[1]))
        _server(app).run(sockets=[listener])
    finally:
        account.close()


__all__ = ["Fault", "ReplayServer", "Request", "create_app", "serve"]
