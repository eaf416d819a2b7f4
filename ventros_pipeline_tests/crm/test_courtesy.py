from __future__ import annotations

import itertools
import multiprocessing
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.synchronize import Event

import pytest
from sqlalchemy import Engine, text

from ventros_pipeline.crm.courtesy import PostgresCourtesy
from ventros_pipeline.crm.database import connect
from ventros_pipeline.waha.client import WahaClient, WahaServer
from ventros_pipeline.waha.courtesy import Limits, NoTurnError

SERVER = "http://waha:3000"
SPAWN = multiprocessing.get_context("spawn")
LONG = 60


class BusyServer(ThreadingHTTPServer):
    """Counts what it bears; holds its first requests until as many as allowed are there."""

    daemon_threads = True

    def __init__(self, expected: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.expected = expected
        self.changed = threading.Condition()
        self.inside = self.peak = 0
        self.arrivals: list[float] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: BusyServer

    def do_GET(self) -> None:
        server = self.server
        with server.changed:
            server.arrivals.append(time.monotonic())
            server.inside += 1
            server.peak = max(server.peak, server.inside)
            server.changed.notify_all()
            server.changed.wait_for(lambda: server.peak >= server.expected, LONG)
            server.inside -= 1
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def busy_server() -> Iterator[BusyServer]:
    with BusyServer(expected=2) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def hammer(database_url: str, waha_url: str, limits: Limits, count: int, go: Event) -> None:
    engine = connect(database_url)
    courtesy = PostgresCourtesy(engine, limits)
    with (
        WahaClient(WahaServer(waha_url, "default"), courtesy=courtesy) as client,
        ThreadPoolExecutor(3) as threads,
    ):
        assert go.wait(LONG)
        list(threads.map(lambda _: client.messages("all", limit=1), range(count)))
    engine.dispose()


def hold(database_url: str, limits: Limits, holds: Event) -> None:
    with PostgresCourtesy(connect(database_url), limits).turn(SERVER):
        holds.set()
        time.sleep(LONG)


def test_two_processes_together_keep_to_the_concurrency_and_the_rate(
    database_url: str, busy_server: BusyServer
) -> None:
    limits = Limits(rate=25, concurrency=2)
    go = SPAWN.Event()
    processes = [
        SPAWN.Process(target=hammer, args=(database_url, busy_server.url, limits, 15, go))
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    began = time.monotonic()
    go.set()
    for process in processes:
        process.join(LONG)
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(busy_server.arrivals) == 30
    assert busy_server.peak == 2
    # However late a request arrives, it cannot arrive before its turn; a second's may come at once.
    for number, arrived in enumerate(busy_server.arrivals, 1):
        assert number <= limits.rate * (1 + arrived - began)


def test_a_killed_process_gives_its_slot_back(database_url: str, engine: Engine) -> None:
    limits = Limits(rate=100, concurrency=1, patience=LONG)
    holds = SPAWN.Event()
    process = SPAWN.Process(target=hold, args=(database_url, limits, holds))
    process.start()
    assert holds.wait(LONG)
    with pytest.raises(NoTurnError), busy(engine, limits).turn(SERVER):
        pass
    process.kill()
    process.join()
    with PostgresCourtesy(engine, limits).turn(SERVER):
        pass


def busy(engine: Engine, limits: Limits) -> PostgresCourtesy:
    """Return one whose patience ends after a few questions."""
    ticks = itertools.count()
    return PostgresCourtesy(
        engine, limits, clock=lambda: next(ticks) * limits.patience / 3, sleep=lambda _: None
    )


def test_a_turn_that_outlives_its_lease_loses_its_slot_and_nothing_else(engine: Engine) -> None:
    limits = Limits(rate=100, concurrency=1, patience=LONG)
    with (
        PostgresCourtesy(engine, limits, lease=0.2).turn(SERVER),
        PostgresCourtesy(engine, limits).turn(SERVER),
    ):
        pass
    with PostgresCourtesy(engine, limits).turn(SERVER):
        pass


def test_turns_are_evenly_spaced_and_servers_do_not_wait_for_each_other(engine: Engine) -> None:
    waits: list[float] = []
    courtesy = PostgresCourtesy(engine, Limits(rate=0.001), sleep=waits.append)
    for server in (SERVER, SERVER, SERVER, "http://other:3000"):
        with courtesy.turn(server):
            pass
    assert [round(wait, -3) for wait in waits] == [1000, 2000]


def test_after_a_pause_the_turns_of_one_second_are_free_and_the_others_spaced(
    engine: Engine,
) -> None:
    waits: list[float] = []
    limits = Limits(rate=4)
    courtesy = PostgresCourtesy(engine, limits, sleep=waits.append)
    began = time.monotonic()
    for _ in range(40):
        with courtesy.turn(SERVER):
            pass
    passed = time.monotonic() - began
    assert len(waits) <= 36
    # The last of forty, had nobody waited: nine seconds after the free ones.
    assert 9 - passed <= waits[-1] <= 9


def test_a_turn_is_given_back_when_its_request_fails(engine: Engine) -> None:
    courtesy = PostgresCourtesy(engine, Limits(rate=100, concurrency=1, patience=LONG))
    for _ in range(3):
        with pytest.raises(KeyError), courtesy.turn(SERVER):
            raise KeyError


def test_what_a_crash_of_the_database_empties_is_made_again(engine: Engine) -> None:
    courtesy = PostgresCourtesy(engine, Limits(rate=100, patience=LONG))
    with courtesy.turn(SERVER):
        pass
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE history_sync.courtesy_slots, history_sync.courtesy_pace"))
    with courtesy.turn(SERVER):
        pass


def test_more_threads_than_connections_do_not_wait_for_each_other_for_ever(
    database_url: str,
) -> None:
    engine = connect(database_url, pool_size=1, max_overflow=1)
    courtesy = PostgresCourtesy(engine, Limits(rate=1000, concurrency=1, patience=LONG))

    def work(number: int) -> int:
        with courtesy.turn(SERVER):
            return number

    with ThreadPoolExecutor(6) as threads:
        assert sorted(threads.map(work, range(12))) == list(range(12))
    engine.dispose()
