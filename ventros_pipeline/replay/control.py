"""What a test or a demo can change about a replay server while it runs, and what it measures.

Belongs here: session state, store switch, key, waits, faults, statistics. Does not belong here:
the answers themselves (`noweb`).
"""

import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_LOG_LENGTH = 200_000


@dataclass(frozen=True)
class Request:
    """One request as the server saw it."""

    method: str
    path: str
    template: str
    query: dict[str, Any]
    number: int

    @property
    def target(self) -> str:
        """Method and endpoint template, as the statistics count them."""
        return f"{self.method} {self.template}"


@dataclass(frozen=True)
class Fault:
    """A way to spoil one answer. Use the constructors; the fields combine freely."""

    status: int | None = None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    keep: float | None = None
    reset: bool = False
    delay: float = 0.0

    @classmethod
    def error(cls, status: int = 500) -> "Fault":
        """Answer a bare error status with NestJS's short body."""
        body = b'{"statusCode":%d,"message":"Internal server error"}' % status
        return cls(status, body, {"content-type": "application/json; charset=utf-8"})

    @classmethod
    def too_many(cls, retry_after: str | float = 1) -> "Fault":
        """Answer 429 with a Retry-After, as a proxy in front of WAHA does."""
        return cls(429, b"Too Many Requests", {"retry-after": str(retry_after)})

    @classmethod
    def html(cls, status: int = 200) -> "Fault":
        """Answer a page of HTML where JSON was asked for."""
        page = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"
        return cls(status, page, {"content-type": "text/html"})

    @classmethod
    def truncated(cls, keep: float = 0.5) -> "Fault":
        """Send the true answer, but only this part of its body; then close."""
        return cls(keep=keep)

    @classmethod
    def dropped(cls) -> "Fault":
        """Reset the connection instead of answering."""
        return cls(reset=True)

    @classmethod
    def slow(cls, seconds: float) -> "Fault":
        """Answer truly, but late."""
        return cls(delay=seconds)


FaultHook = Callable[[Request], Fault | None]


class Stats:
    """Counts of what was asked and sent; safe to read from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget everything counted so far."""
        with self._lock:
            self.requests: Counter[str] = Counter()
            self.statuses: Counter[int] = Counter()
            self.bytes = 0
            self.in_flight = 0
            self.max_in_flight = 0
            self.total = 0
            self.log: deque[Request] = deque(maxlen=_LOG_LENGTH)

    def arrived(self, method: str, path: str, template: str, query: dict[str, Any]) -> Request:
        """Count a request in."""
        with self._lock:
            self.total += 1
            request = Request(method, path, template, query, self.total)
            self.requests[request.target] += 1
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
            self.log.append(request)
            return request

    def left(self, status: int, size: int) -> None:
        """Count a request out; status 0 is a connection that was reset."""
        with self._lock:
            self.in_flight = max(0, self.in_flight - 1)
            self.statuses[status] += 1
            self.bytes += size

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        with self._lock:
            return {
                "total": self.total,
                "requests": dict(self.requests),
                "statuses": {str(status): count for status, count in self.statuses.items()},
                "bytes": self.bytes,
                "in_flight": self.in_flight,
                "max_in_flight": self.max_in_flight,
            }


@dataclass
class Control:
    """The switches of a running server. Plain attributes: set them from any thread.

    Attributes:
        api_key: the key the server accepts; change it and every client has the wrong one.
        status: session status, WORKING or one WAHA cannot read in.
        store_enabled: False makes NOWEB answer 400 as with its store switched off.
        wait_scale: factor on WAHA's 5 to 10 s wait before a 422; 0 does not wait.
        latency_ms: added to every answer.
        fault: asked once per request; what it returns spoils the answer.
    """

    api_key: str
    status: str = "WORKING"
    store_enabled: bool = True
    wait_scale: float = 1.0
    latency_ms: float = 0.0
    fault: FaultHook | None = None
    stats: Stats = field(default_factory=Stats)
