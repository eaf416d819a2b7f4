"""Courtesy towards a WAHA server: how many requests at once, how fast, and when to leave it alone.

What belongs here: the protocol through which each try of a request passes, and the circuit breaker.
What does not: handing out turns, which takes a database that all processes share
(`crm/courtesy.py`), and retrying (`client.py`).

Why these defaults. WAHA is one Node process for all its sessions, and live traffic goes through the
same event loop. Measured: 77 requests of 100 messages a second one at a time, 85 with four at once
and 62 with sixteen, so more than two at once buy nothing and only queue up in front of live
messages. One page of 500 keeps the loop busy for about 25 ms: eight a second take a fifth of it and
still read 4,000 messages a second, more than they are loaded with. Two at once, because a session
that is not ready holds its request for 5 to 15 s, which must not stop the other importer.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol
from urllib.parse import urlsplit

from ventros_pipeline.waha.errors import WahaTransientError

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Limits:
    """What a server is asked to bear.

    Attributes:
        rate: requests begun in a second. After a pause, those of one second may begin at once: so
            a small import, or a pass of a schedule, waits for answers alone.
        concurrency: requests at the same time.
        patience: seconds to wait for a turn before giving up.
    """

    rate: float = 8.0
    concurrency: int = 2
    patience: float = 120.0

    def __post_init__(self) -> None:
        if not (self.rate > 0 and self.concurrency >= 1 and self.patience > 0):
            raise ValueError("rate and patience must be above 0, concurrency at least 1")

    @property
    def spacing(self) -> float:
        """Seconds between two requests, on and on."""
        return 1 / self.rate

    @property
    def saved(self) -> float:
        """Seconds of a pause that count as turns not taken: with the turn that is due, a second."""
        return max(0.0, 1 - self.spacing)


class NoTurnError(WahaTransientError):
    """The server stayed busy with others' requests for longer than our patience."""

    def __init__(self, server: str, limits: Limits) -> None:
        super().__init__(
            f"No turn at {server} within {limits.patience:g} s: other imports keep its "
            f"{limits.concurrency} request(s) at once and {limits.rate:g} a second. Run fewer at a "
            "time, or raise the limits if the server is idle."
        )


class RestingError(WahaTransientError):
    """Most requests to this session failed lately: it is left alone for a while, nothing was sent.

    `retry_after` says for how long.
    """


class Courtesy(Protocol):
    """Hands out turns at a server."""

    def turn(self, server: str) -> AbstractContextManager[None]:
        """Wait for a slot and for the pace, then hold the slot for the length of the block.

        Args:
            server: `server_key` of the base URL.

        Raises:
            NoTurnError: no slot became free in time.
        """
        ...


class NoCourtesy:
    """Lets every request through at once: for a replayed server and for tests."""

    def turn(self, server: str) -> AbstractContextManager[None]:
        """Wait for nothing."""
        del server
        return nullcontext()


class State(StrEnum):
    """Of a circuit breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass
class Breaker:
    """Leaves a session alone when most of its recent requests failed.

    Closed, it counts. Open, it refuses everything for `rest` seconds. Half-open, it lets one
    request through: its success closes, its failure opens again.

    The window is wide on purpose: with 20 outcomes, a server that fails at random in 30 % of all
    tries, which retries get along with well, would be cut off about every sixtieth request.

    Attributes:
        window: outcomes remembered.
        minimum: outcomes needed before it may open.
        threshold: share of failures above which it opens.
        rest: seconds to stay open.
        clock: monotonic seconds.
    """

    window: int = 40
    minimum: int = 20
    threshold: float = 0.5
    rest: float = 30.0
    clock: Callable[[], float] = time.monotonic
    _outcomes: deque[bool] = field(init=False)
    _opened: float | None = field(default=None, init=False)
    _trying: bool = field(default=False, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        self._outcomes = deque(maxlen=self.window)

    @property
    def state(self) -> State:
        """What it would do with a request now."""
        with self._lock:
            return self._state()

    def admit(self, what: str) -> None:
        """Let a request through, or raise.

        Args:
            what: names the session in the message.

        Raises:
            RestingError: nothing may be asked now.
        """
        with self._lock:
            state = self._state()
            if state is State.CLOSED:
                return
            if state is State.HALF_OPEN and not self._trying:
                self._trying = True
                return
            left = max(0.0, (self._opened or 0.0) + self.rest - self.clock())
        raise RestingError(
            f"{what} is left alone for {left:.0f} s more, because most of its recent requests "
            "failed. See whether WAHA and the session are well.",
            retry_after=left,
        )

    def record(self, *, failed: bool) -> State | None:
        """Count the outcome of a request that was admitted; return what it opened or closed to."""
        with self._lock:
            if self._opened is not None:
                if not self._trying:
                    # What came of a request that was let through before it opened.
                    return None
                self._trying = False
                self._outcomes.clear()
                self._opened = self.clock() if failed else None
                return State.OPEN if failed else State.CLOSED
            self._outcomes.append(failed)
            count = len(self._outcomes)
            if count < self.minimum or sum(self._outcomes) <= self.threshold * count:
                return None
            self._opened = self.clock()
            return State.OPEN

    def _state(self) -> State:
        if self._opened is None:
            return State.CLOSED
        over = self.clock() >= self._opened + self.rest
        return State.HALF_OPEN if over else State.OPEN


@dataclass
class Breakers:
    """The breakers of one process: one for each session of each server, made when first asked for.

    They outlive clients, which are made anew for each piece of work.
    """

    make: Callable[[], Breaker] = Breaker
    _known: dict[tuple[str, str], Breaker] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def of(self, base_url: str, session: str) -> Breaker:
        """Return the breaker of one session."""
        with self._lock:
            return self._known.setdefault((server_key(base_url), session), self.make())


def server_key(base_url: str) -> str:
    """Return `scheme://host:port` of a base URL: the server, whatever path or key a URL carries."""
    parts = urlsplit(base_url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    return f"{parts.scheme}://[{host}]:{port}" if ":" in host else f"{parts.scheme}://{host}:{port}"
