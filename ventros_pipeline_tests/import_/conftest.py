"""Account A imported once with groups and once without, and worlds of a test's own."""

from __future__ import annotations

import gzip
import io
import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from ventros_pipeline import logs
from ventros_pipeline.crm.database import connect
from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline.demo import BUNDLED_ACCOUNT
from ventros_pipeline.replay.account import Account
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests import buckets
from ventros_pipeline_tests.conftest import fresh_database
from ventros_pipeline_tests.import_.world import KEY, KEY_VARIABLE, World, new_world

# The account's first message is of 2025-07-15; the calendar starts at the month.
START_A = date(2025, 7, 1)

MakeWorld = Callable[..., World]


@pytest.fixture(scope="session", autouse=True)
def waha_key() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, KEY)
        yield


@pytest.fixture
def s3() -> Iterator[buckets.S3]:
    """An object store that speaks S3, and the environment that leads to it."""
    with buckets.serving() as server:
        yield server


@pytest.fixture(scope="session")
def expected_a() -> dict[str, Any]:
    truth: dict[str, Any] = json.loads((BUNDLED_ACCOUNT / "expected.json").read_bytes())
    return truth


@pytest.fixture(scope="session")
def dump_a() -> list[dict[str, Any]]:
    """The account's rows as plain JSON, for judging without any code of ours."""
    lines = gzip.decompress((BUNDLED_ACCOUNT / "messages.ndjson.gz").read_bytes()).split(b"\n")
    return [json.loads(line) for line in lines if line]


@pytest.fixture(scope="session")
def now_a(expected_a: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(expected_a["captured_at"], UTC)


@pytest.fixture(scope="session")
def replayed_a() -> Iterator[ReplayServer]:
    """Account A on loopback; tests leave it as it is."""
    account = Account.load(BUNDLED_ACCOUNT)
    with ReplayServer(account, api_key=KEY) as server:
        yield server
    account.close()


@pytest.fixture(scope="session")
def empty_world(
    postgres_server: EmbeddedServer, migrated_template: str, tmp_path_factory: Any
) -> Iterator[MakeWorld]:
    """Makes worlds, each with a database of its own, that last as long as the session."""
    opened: list[tuple[Any, Engine]] = []

    def make(base_url: str, **how: Any) -> World:
        database = fresh_database(postgres_server.url, migrated_template)
        engine = connect(database.__enter__())
        opened.append((database, engine))
        return new_world(engine, tmp_path_factory.mktemp("home"), base_url, **how)

    yield make
    for database, engine in opened:
        engine.dispose()
        database.__exit__(None, None, None)


@pytest.fixture(scope="session")
def log_of_a() -> io.StringIO:
    """What was logged while `imported_a` was imported, from DEBUG on, as JSON lines."""
    return io.StringIO()


@pytest.fixture(scope="session")
def imported_a(
    empty_world: MakeWorld, replayed_a: ReplayServer, now_a: datetime, log_of_a: io.StringIO
) -> World:
    """Account A with groups, imported once. Tests only read it."""
    root = logging.getLogger()
    level, handler = root.level, logs.configure("json", "DEBUG", log_of_a)
    root.setLevel(logging.DEBUG)
    try:
        world = empty_world(replayed_a.url, start=START_A, now=now_a)
        world.import_days()
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    return world


@pytest.fixture(scope="session")
def imported_a_without_groups(
    empty_world: MakeWorld, replayed_a: ReplayServer, now_a: datetime
) -> World:
    """Account A on a channel that takes no groups, imported once. Tests only read it."""
    world = empty_world(replayed_a.url, start=START_A, now=now_a, allow_groups=False)
    world.import_days()
    return world


@pytest.fixture
def world(engine: Engine, tmp_path: Path) -> World:
    """An empty world whose channel points nowhere yet."""
    return new_world(engine, tmp_path / "home", "http://127.0.0.1:9")


@pytest.fixture
def replay(world: World) -> Iterator[Callable[[Path], ReplayServer]]:
    """Serves a folder, and points the test's channel at it."""
    servers: list[ReplayServer] = []

    def serve(folder: Path) -> ReplayServer:
        server = ReplayServer(folder, api_key=KEY).start()
        servers.append(server)
        world.change_channel(
            f"config = config || jsonb_build_object('base_url', '{server.url}'::text)"
        )
        return server

    yield serve
    for server in servers:
        server.stop()
