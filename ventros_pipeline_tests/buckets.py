"""A server that speaks S3, for tests of the archive on an object store.

What belongs here: starting it, and letting it fail. What does not: any test.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from unittest.mock import patch

import httpx
from moto.server import ThreadedMotoServer

KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "invented-key",
    "AWS_REGION": "us-east-1",
}
# What is in a bucket stays as long as this process, whatever server is asked.
_numbers = count(1)


@dataclass
class S3:
    """A running server with one bucket.

    Attributes:
        uri: of an archive in the bucket.
        asked: method and path of each request.
        fault: called with both; a status that it returns is the answer.
    """

    uri: str
    asked: list[tuple[str, str]] = field(default_factory=list)
    fault: Callable[[str, str], int | None] = field(default=lambda *_: None)

    def wrap(self, app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        """Return the server's application with faults."""

        def wrapped(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            what = (environ["REQUEST_METHOD"], environ["PATH_INFO"])
            self.asked.append(what)
            status = self.fault(*what)
            if status is None:
                return app(environ, start)
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start(f"{status} Slow Down", [("Content-Type", "application/xml")])
            return [b"<Error><Code>SlowDown</Code></Error>"]

        return wrapped


@contextmanager
def serving(ip: str = "127.0.0.1") -> Iterator[S3]:
    """Serve an empty bucket, and let the environment point to it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address=ip, port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    bucket = f"ventros-{next(_numbers)}"
    s3 = S3(f"s3://{bucket}/archive")
    try:
        httpx.put(f"{address}/{bucket}").raise_for_status()
        server._server.app = s3.wrap(server._server.app)
        here = {**KEYS, "AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true"}
        with patch.dict("os.environ", here):
            yield s3
    finally:
        server.stop()
