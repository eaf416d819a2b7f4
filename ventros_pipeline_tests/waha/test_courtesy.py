from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx
import pytest

from ventros_pipeline.waha.client import WahaClient, WahaServer
from ventros_pipeline.waha.courtesy import (
    Breaker,
    Breakers,
    Limits,
    NoTurnError,
    RestingError,
    State,
    server_key,
)
from ventros_pipeline.waha.errors import (
    WahaConfigurationError,
    WahaError,
    WahaNotReadyError,
    WahaTransientError,
)
from ventros_pipeline.waha.sockets import DeadlineTransport

from .stranger import Stranger, listening

SERVER = "http://waha:3000"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("bad", [{"rate": 0}, {"concurrency": 0}, {"patience": 0}])
def test_limits_that_would_stop_everything_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="rate"):
        Limits(**bad)


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("http://WAHA:3000/", "http://waha:3000"),
        ("http://waha/base", "http://waha:80"),
        ("https://waha.example.com.", "https://waha.example.com:443"),
        ("http://user:word@waha:3000", "http://waha:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_a_server_has_one_name_however_its_url_is_written(url: str, key: str) -> None:
    assert server_key(url) == key


def outcomes(breaker: Breaker, *failed: bool) -> None:
    for each in failed:
        breaker.admit("x")
        breaker.record(failed=each)


def test_a_breaker_opens_when_most_of_enough_requests_failed() -> None:
    breaker = Breaker(clock=Clock())
    outcomes(breaker, *[True] * 19)
    assert breaker.state is State.CLOSED
    outcomes(breaker, True)
    assert breaker.state is State.OPEN


def test_half_of_the_requests_may_fail_for_ever() -> None:
    breaker = Breaker(clock=Clock())
    outcomes(breaker, *[False, True] * 200)
    assert breaker.state is State.CLOSED


def test_an_open_breaker_lets_one_request_through_after_its_rest() -> None:
    clock = Clock()
    breaker = Breaker(clock=clock)
    outcomes(breaker, *[True] * 20)
    clock.now += 12
    with pytest.raises(RestingError, match="18 s more") as refused:
        breaker.admit("session x")
    assert refused.value.retry_after == 18
    clock.now += 18
    assert breaker.state is State.HALF_OPEN
    breaker.admit("session x")
    with pytest.raises(RestingError):
        breaker.admit("session x")
    breaker.record(failed=True)
    assert breaker.state is State.OPEN
    clock.now += 30
    outcomes(breaker, False)
    assert breaker.state is State.CLOSED
    outcomes(breaker, *[True] * 19)
    assert breaker.state is State.CLOSED


def test_what_was_admitted_before_it_opened_does_not_close_it() -> None:
    breaker = Breaker(clock=Clock())
    breaker.admit("the slow one")
    outcomes(breaker, *[True] * 20)
    breaker.record(failed=False)
    assert breaker.state is State.OPEN


def test_each_session_of_each_server_has_a_breaker_of_its_own() -> None:
    breakers = Breakers()
    one = breakers.of("http://waha:3000/", "a")
    assert breakers.of("http://WAHA:3000", "a") is one
    assert breakers.of("http://waha:3000", "b") is not one
    assert breakers.of("http://other:3000", "a") is not one


class Counting:
    """A courtesy that tells how many are inside, and how many turns there were."""

    def __init__(self) -> None:
        self.turns = self.inside = 0

    @contextmanager
    def turn(self, server: str) -> Iterator[None]:
        assert server == SERVER
        self.turns += 1
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1


def client_of(
    statuses: list[int], courtesy: Counting | None = None, breaker: Breaker | None = None
) -> WahaClient:
    left = list(statuses)

    def answer(_: httpx.Request) -> httpx.Response:
        assert courtesy is None or courtesy.inside == 1
        status = left.pop(0) if len(left) > 1 else left[0]
        body = {"status": "FAILED", "expected": ["WORKING"]} if status == 422 else []
        return httpx.Response(status, json=body)

    return WahaClient(
        WahaServer(SERVER, "default"),
        transport=httpx.MockTransport(answer),
        courtesy=courtesy,
        breaker=breaker,
    )


def test_each_try_of_a_request_takes_a_turn_and_gives_it_back() -> None:
    courtesy = Counting()
    with client_of([503, 429, 200], courtesy) as client:
        client.messages("all", limit=1)
    assert (courtesy.turns, courtesy.inside) == (3, 0)


def test_a_dead_server_is_soon_asked_no_more_and_that_is_no_reason_to_try_again() -> None:
    breaker = Breaker(clock=Clock())
    with client_of([503], breaker=breaker) as client:
        for _ in range(30):
            with pytest.raises(WahaTransientError):
                client.messages("all", limit=1)
        assert breaker.state is State.OPEN
        asked = client.stats.requests
        with pytest.raises(RestingError, match="default"):
            client.messages("all", limit=1)
        assert client.stats.requests == asked == 20


@pytest.mark.parametrize(
    ("status", "error", "state"),
    [
        (422, WahaNotReadyError, State.OPEN),
        (500, WahaTransientError, State.OPEN),
        (429, WahaTransientError, State.CLOSED),
        (401, WahaConfigurationError, State.CLOSED),
        (404, WahaError, State.CLOSED),
    ],
)
def test_only_a_session_that_is_not_well_opens_the_breaker(
    status: int, error: type[WahaError], state: State
) -> None:
    breaker = Breaker(clock=Clock())
    with client_of([status], breaker=breaker) as client:
        for _ in range(20):
            with pytest.raises(error):
                client.messages("all", limit=1)
    assert breaker.state is state


class Busy:
    """A server whose turns all belong to others."""

    def turn(self, server: str) -> AbstractContextManager[None]:
        raise NoTurnError(server, Limits())


def test_waiting_in_vain_for_a_turn_says_nothing_of_the_server() -> None:
    breaker = Breaker(clock=Clock(), minimum=1)
    client = WahaClient(
        WahaServer(SERVER, "default"),
        transport=httpx.MockTransport(lambda _: httpx.Response(200, json=[])),
        courtesy=Busy(),
        breaker=breaker,
    )
    with client, pytest.raises(NoTurnError, match="Run fewer"):
        client.messages("all", limit=1)
    assert breaker.state is State.CLOSED
    assert client.stats.requests == 0


@pytest.fixture
def server() -> Iterator[Stranger]:
    with listening(tls=False) as found:
        yield found


def real_client(server: Stranger, **times: float) -> WahaClient:
    return WahaClient(
        WahaServer(f"http://127.0.0.1:{server.port}", "default", attempts=1, **times)  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("where", ["head", "body"])
def test_an_answer_that_trickles_ends_at_the_total_time(server: Stranger, where: str) -> None:
    over = threading.Event()

    def trickle(handler: object) -> None:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n")  # type: ignore[attr-defined]
        if where == "body":
            handler.wfile.write(b"\r\n")  # type: ignore[attr-defined]
        while not over.wait(0.02):
            handler.wfile.write(b"x")  # type: ignore[attr-defined]

    path = "/api/default/chats/all/messages"
    server.answers[path] = trickle
    with (
        real_client(server, total_timeout=0.4, read_timeout=60) as client,
        pytest.raises(WahaTransientError, match="ReadTimeout"),
    ):
        client.messages("all", limit=1)
    over.set()


def test_a_browsers_walk_gets_more_time_than_other_requests(server: Stranger) -> None:
    hold = threading.Event()

    def slow(handler: object) -> None:
        hold.wait(20)
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n[]")  # type: ignore[attr-defined]

    server.answers["/api/default/chats/1/messages"] = slow
    times = {"total_timeout": 0.2, "read_timeout": 0.1, "slow_timeout": 60.0}
    with real_client(server, **times) as client:
        with pytest.raises(WahaTransientError, match="ReadTimeout"):
            client.messages("1", limit=1)
        hold.set()
        assert client.messages("1", limit=1, slow=True) == []


def test_errors_of_a_socket_are_told_as_httpx_tells_them() -> None:
    with httpx.Client(transport=DeadlineTransport(keepalive=1)) as client:
        with pytest.raises(httpx.ConnectError):
            client.get("http://127.0.0.1:1/")
        with pytest.raises(httpx.UnsupportedProtocol):
            client.get("ftp://127.0.0.1/")
