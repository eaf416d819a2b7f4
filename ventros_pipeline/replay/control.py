"""What a test or a demo can change about a replay server while it runs, and what it measures.

Belongs here: session state, store switch, key, waits, faults, statistics. Does not belong here:
the answers themselves (`noweb`).
"""

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ventros_pipeline.replay.store import Ghosts

_LOG_LENGTH = 200_000
_SECOND = 1.0


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

    @property
    def exactly(self) -> str:
        """All of what was asked: two requests with the same text are the same question."""
        return f"{self.method} {self.path}?{json.dumps(self.query, sort_keys=True)}"


@dataclass(frozen=True)
class Tricks:
    """What is done to the rows of a message listing; each value is a seed, None leaves it.

    Attributes:
        shuffle: rows of one second change places, also with rows of the next page.
        double: some rows are written twice.
        repeat: when only the offset differs from the listing before, that one is sent again.
    """

    shuffle: int | None = None
    double: int | None = None
    repeat: bool = False


@dataclass(frozen=True)
class Fault:
    """A way to spoil one answer. Use the constructors; the fields combine freely.

    Attributes:
        status: answer this status and `body` instead of the true answer.
        body: see `status`.
        headers: added to the answer, the true one, too.
        keep: send only this part of the body, then cut the connection.
        reset: reset the connection instead of answering, after `delay`.
        delay: seconds to wait first.
        hang_up: close the connection after the answer, without having announced it.
        session_status: the session status this one request meets.
        tricks: what is done to the rows.
        name: what the statistics call it.
    """

    status: int | None = None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    keep: float | None = None
    reset: bool = False
    delay: float = 0.0
    hang_up: bool = False
    session_status: str | None = None
    tricks: Tricks = field(default_factory=Tricks)
    name: str = "fault"

    @property
    def harmless(self) -> bool:
        """Whether the answer is the true one, whole, though late or with odd rows."""
        bad = self.status is not None or self.keep is not None or self.reset
        return not (bad or self.session_status or self.headers)

    @classmethod
    def error(cls, status: int = 500) -> "Fault":
        """Answer a bare error status with NestJS's short body."""
        body = b'{"statusCode":%d,"message":"Internal server error"}' % status
        headers = {"content-type": "application/json; charset=utf-8"}
        return cls(status, body, headers, name=f"error_{status}")

    @classmethod
    def too_many(cls, retry_after: str | float = 1) -> "Fault":
        """Answer 429 with a Retry-After, as a proxy in front of WAHA does."""
        return cls(429, b"Too Many Requests", {"retry-after": str(retry_after)}, name="too_many")

    @classmethod
    def html(cls, status: int = 200) -> "Fault":
        """Answer a page of HTML where JSON was asked for."""
        page = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"
        return cls(status, page, {"content-type": "text/html"}, name="html")

    @classmethod
    def wrong_type(cls, content_type: str = "text/plain") -> "Fault":
        """Answer truly, but call it something else than JSON."""
        return cls(headers={"content-type": content_type}, name="wrong_type")

    @classmethod
    def truncated(cls, keep: float = 0.5) -> "Fault":
        """Send the true answer, but only this part of its body; then close."""
        return cls(keep=keep, name="truncated")

    @classmethod
    def dropped(cls) -> "Fault":
        """Reset the connection instead of answering."""
        return cls(reset=True, name="dropped")

    @classmethod
    def silent(cls, seconds: float) -> "Fault":
        """Say nothing for this long, then reset the connection: a timeout."""
        return cls(reset=True, delay=seconds, name="silent")

    @classmethod
    def hanging_up(cls) -> "Fault":
        """Answer truly and close the connection that was promised to be kept."""
        return cls(hang_up=True, name="hang_up")

    @classmethod
    def not_working(cls, status: str = "STARTING") -> "Fault":
        """Let this one request meet a session that is not WORKING."""
        return cls(session_status=status, name="not_working")

    @classmethod
    def odd_rows(cls, tricks: Tricks, name: str = "odd_rows") -> "Fault":
        """Answer, with something done to the rows of a message listing."""
        return cls(tricks=tricks, name=name)

    @classmethod
    def slow(cls, seconds: float) -> "Fault":
        """Answer truly, but late."""
        return cls(delay=seconds, name="slow")


FaultHook = Callable[[Request], Fault | None]


@dataclass
class Endpoint:
    """What was asked of one endpoint.

    Attributes:
        requests: how often.
        failed: answers of 400 and above, and connections that were reset.
        bytes: sent in bodies.
        max_in_flight: requests that were open at one time.
    """

    requests: int = 0
    failed: int = 0
    bytes: int = 0
    in_flight: int = 0
    max_in_flight: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return the figures as plain data."""
        names = ("requests", "failed", "bytes", "max_in_flight")
        return {name: getattr(self, name) for name in names}


class Stats:
    """Counts of what was asked and sent; safe to read from any thread.

    Attributes:
        requests: by method and endpoint template.
        endpoints: the same, in more detail.
        statuses: answers by status; 0 is a connection that was reset.
        faults: spoiled answers, by the fault's name.
        walked: rows WEBJS and WPP had to look at to answer.
        max_in_flight: requests that were open at one time.
        max_per_second: requests that arrived within any one second.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget everything counted so far."""
        with self._lock:
            self.requests: Counter[str] = Counter()
            self.endpoints: dict[str, Endpoint] = {}
            self.statuses: Counter[int] = Counter()
            self.faults: Counter[str] = Counter()
            self.bytes = 0
            self.walked = 0
            self.in_flight = 0
            self.max_in_flight = 0
            self.max_per_second = 0
            self.total = 0
            self.log: deque[Request] = deque(maxlen=_LOG_LENGTH)
            self._recent: deque[float] = deque()

    def arrived(self, method: str, path: str, template: str, query: dict[str, Any]) -> Request:
        """Count a request in."""
        with self._lock:
            self.total += 1
            request = Request(method, path, template, query, self.total)
            self.requests[request.target] += 1
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
            endpoint = self.endpoints.setdefault(request.target, Endpoint())
            endpoint.requests += 1
            endpoint.in_flight += 1
            endpoint.max_in_flight = max(endpoint.max_in_flight, endpoint.in_flight)
            self._rate()
            self.log.append(request)
            return request

    def left(self, status: int, size: int, request: Request | None = None) -> None:
        """Count a request out; status 0 is a connection that was reset."""
        with self._lock:
            self.in_flight = max(0, self.in_flight - 1)
            self.statuses[status] += 1
            self.bytes += size
            endpoint = self.endpoints.get(request.target) if request else None
            if endpoint is not None:
                endpoint.in_flight = max(0, endpoint.in_flight - 1)
                endpoint.failed += status == 0 or status >= 400
                endpoint.bytes += size

    def spoiled(self, name: str) -> None:
        """Count a fault."""
        with self._lock:
            self.faults[name] += 1

    def looked(self, rows: int) -> None:
        """Count rows an engine had to look at."""
        with self._lock:
            self.walked += rows

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        with self._lock:
            return {
                "total": self.total,
                "requests": dict(self.requests),
                "endpoints": {name: one.as_dict() for name, one in self.endpoints.items()},
                "statuses": {str(status): count for status, count in self.statuses.items()},
                "faults": dict(self.faults),
                "bytes": self.bytes,
                "walked": self.walked,
                "in_flight": self.in_flight,
                "max_in_flight": self.max_in_flight,
                "max_per_second": self.max_per_second,
            }

    def _rate(self) -> None:
        now = time.monotonic()
        self._recent.append(now)
        while self._recent[0] <= now - _SECOND:
            self._recent.popleft()
        self.max_per_second = max(self.max_per_second, len(self._recent))


@dataclass
class Control:
    """The switches of a running server. Plain attributes: set them from any thread.

    Attributes:
        api_key: the key the server accepts; change it and every client has the wrong one.
        status: session status, WORKING or one WAHA cannot read in.
        script: (request number, status) pairs: the status changes when that request arrives.
        store_enabled: False makes WAHA answer 400 as with its store switched off.
        wait_scale: factor on WAHA's 5 to 10 s wait before a 422; 0 does not wait.
        latency_ms: added to every answer.
        fault: asked once per request; what it returns spoils the answer.
        ghosts: rows that are never shown, strewn between the others.
        watchers: told about every request before it is answered; live changes are one.
    """

    api_key: str
    status: str = "WORKING"
    script: list[tuple[int, str]] = field(default_factory=list)
    store_enabled: bool = True
    wait_scale: float = 1.0
    latency_ms: float = 0.0
    fault: FaultHook | None = None
    ghosts: Ghosts | None = None
    watchers: list[Callable[[Request], None]] = field(default_factory=list)
    stats: Stats = field(default_factory=Stats)

    def arrived(self, request: Request) -> Fault | None:
        """Let the scripts act on a request, and return what spoils its answer."""
        due = [status for number, status in sorted(self.script) if number <= request.number]
        if due:
            self.status = due[-1]
            self.script = [step for step in self.script if step[0] > request.number]
        for watch in self.watchers:
            watch(request)
        fault = self.fault(request) if self.fault is not None else None
        if fault is not None:
            self.stats.spoiled(fault.name)
        return fault
