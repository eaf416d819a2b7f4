"""Loopback servers that stand in for the Internet, and a certificate for the names they play."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpcore

HERE = Path(__file__).parent
# Made for these tests, trusted by nobody else, and good for names that are not ours.
CERTIFICATE = HERE / "stranger.pem"
FILE = b"\xff\xd8\xff\xe0 a picture"


class Stranger(ThreadingHTTPServer):
    """Answers each request with what `answers` holds for its path, and remembers it."""

    daemon_threads = True

    def __init__(self, *, tls: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.connections = 0
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def get_request(self) -> Any:
        self.connections += 1
        return super().get_request()

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients that hang up are what is tested."""

    def redirect(self, path: str, target: str) -> None:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(302)
            handler.send_header("Location", target)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        self.answers[path] = answer


class _Handler(BaseHTTPRequestHandler):
    server: Stranger

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.path, headers))
        if answer := self.server.answers.get(path):
            answer(self)
            return
        self.send_response(200)
        self.send_header("Content-Type", "Image/JPEG; q=1")
        self.send_header("Content-Length", str(len(FILE)))
        self.end_headers()
        self.wfile.write(FILE)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def listening(*, tls: bool) -> Iterator[Stranger]:
    with Stranger(tls=tls) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def trust() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(CERTIFICATE))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    return context


class Loopback(httpcore.SyncBackend):
    """Brings every connection to port 443, whatever its address, to a server on loopback."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.dialled: list[tuple[str, int]] = []

    def connect_tcp(
        self, host: str, port: int, *args: Any, **kwargs: Any
    ) -> httpcore.NetworkStream:
        self.dialled.append((host, port))
        if port == 443:
            host, port = "127.0.0.1", self.port
        return super().connect_tcp(host, port, *args, **kwargs)
