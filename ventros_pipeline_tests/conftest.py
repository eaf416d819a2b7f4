"""Postgres for tests: one embedded server for the session, a fresh database for each test."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, Engine

from ventros_pipeline.crm import embedded
from ventros_pipeline.crm.database import connect, libpq_url, normalise_url
from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline.crm.migrate import migrate

# Replayed servers need no courtesy; the tests of courtesy set their own limits.
os.environ["VENTROS_WAHA_RATE"] = "100000"

SYSTEM_POSTGRES = Path("/usr/lib/postgresql/15/bin")
TEMPLATE, DAGSTER_TEMPLATE = "migrated_template", "dagster_template"
# A test database is thrown away: nothing of it has to survive a power cut.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_numbers = count(1)


# What takes minutes comes first, a folder or a file, so that no worker ends with it.
LONGEST_FIRST = (
    *(
        "test_pages",
        "test_programs",
        "test_daemon",
        "test_crashes",
        "test_soak",
        "test_leaks",
        "ui",
    ),
    *("import_", "dagster_", "engines", "crm", "api"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; within a folder the order stays."""

    def place(item: pytest.Item) -> int:
        names = (item.path.stem, item.path.parent.name)
        return next(
            (LONGEST_FIRST.index(name) for name in names if name in LONGEST_FIRST),
            len(LONGEST_FIRST),
        )

    items.sort(key=place)


def in_database(url: str, database: str) -> str:
    """Return the URL of another database of the same server."""
    return normalise_url(url).set(database=database).render_as_string(hide_password=False)


def statement(server_url: str, sql: str) -> None:
    """Run one statement outside of a transaction, in the server's database `postgres`."""
    target = libpq_url(in_database(server_url, "postgres"))
    with psycopg.connect(target, autocommit=True) as session:
        session.execute(sql)  # type: ignore[call-overload]


@contextmanager
def fresh_database(server_url: str, template: str | None = None) -> Iterator[str]:
    """Make a database for one test."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    statement(server_url, f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
    try:
        yield in_database(server_url, name)
    finally:
        statement(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A folder whose path is short enough for a socket; pytest's own are too long."""
    folder = Path(tempfile.mkdtemp(prefix="vt", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedServer]:
    """The embedded server of this test session."""
    folder = Path(tempfile.mkdtemp(prefix="vt", dir="/tmp"))
    server = embedded.start(folder / "pg", settings=FAST)
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_template(postgres_server: EmbeddedServer) -> str:
    """A migrated database to copy, instead of migrating for each test."""
    statement(postgres_server.url, f"CREATE DATABASE {TEMPLATE}")
    engine = connect(in_database(postgres_server.url, TEMPLATE))
    migrate(engine)
    engine.dispose()
    return TEMPLATE


@pytest.fixture(scope="session")
def dagster_template(postgres_server: EmbeddedServer) -> str:
    """A database with Dagster's own tables to copy."""
    from ventros_pipeline.storage import PooledPostgresStorage

    statement(postgres_server.url, f"CREATE DATABASE {DAGSTER_TEMPLATE}")
    url = normalise_url(in_database(postgres_server.url, DAGSTER_TEMPLATE), driver="psycopg2")
    PooledPostgresStorage(url.render_as_string(hide_password=False))
    return DAGSTER_TEMPLATE


@pytest.fixture
def dagster_database_url(postgres_server: EmbeddedServer, dagster_template: str) -> Iterator[str]:
    """A fresh database for Dagster's storage: SQLite's files would wait for the disk."""
    with fresh_database(postgres_server.url, dagster_template) as url:
        yield url


@pytest.fixture
def database_url(postgres_server: EmbeddedServer, migrated_template: str) -> Iterator[str]:
    """A fresh, migrated database."""
    with fresh_database(postgres_server.url, migrated_template) as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on a fresh, migrated database."""
    engine = connect(database_url, application_name="ventros-tests")
    yield engine
    engine.dispose()


@pytest.fixture
def empty_database_url(postgres_server: EmbeddedServer) -> Iterator[str]:
    """A fresh database with nothing in it."""
    with fresh_database(postgres_server.url) as url:
        yield url


@pytest.fixture(scope="session")
def system_postgres() -> Iterator[str]:
    """The URL of a server made from the machine's own PostgreSQL 15, or a skipped test."""
    if not SYSTEM_POSTGRES.is_dir():
        pytest.skip("PostgreSQL 15 is not installed on this machine")
    folder = Path(tempfile.mkdtemp(prefix="vt", dir="/tmp"))
    user = None
    if os.geteuid() == 0:
        user = "postgres"
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    data = folder / "pg15"

    def run(program: str, *arguments: str) -> None:
        command = [str(SYSTEM_POSTGRES / program), "-D", str(data), *arguments]
        with (folder / f"{program}.out").open("a") as out:
            subprocess.run(command, check=True, user=user, cwd=folder, stdout=out, stderr=out)

    run("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale")
    options = f"-h '' -k {folder} -c fsync=off"
    run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
    url = URL.create(
        "postgresql+psycopg", "postgres", database="postgres", query={"host": str(folder)}
    )
    yield url.render_as_string(hide_password=False)
    run("pg_ctl", "-w", "-m", "immediate", "stop")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["embedded", "system"])
def each_server(request: pytest.FixtureRequest) -> str:
    """Run the test once on the embedded server and once on the machine's own."""
    if request.param == "system":
        url: str = request.getfixturevalue("system_postgres")
        return url
    server: EmbeddedServer = request.getfixturevalue("postgres_server")
    return server.url


@pytest.fixture
def each_empty_engine(each_server: str) -> Iterator[Engine]:
    """An engine on an empty database of either server."""
    with fresh_database(each_server) as url:
        engine = connect(url)
        yield engine
        engine.dispose()


@pytest.fixture
def new_database(postgres_server: EmbeddedServer) -> Iterator[Callable[[], str]]:
    """Makes further empty databases within one test."""
    made: list[str] = []

    def make() -> str:
        name = f"test_{os.getpid()}_{next(_numbers)}"
        statement(postgres_server.url, f"CREATE DATABASE {name}")
        made.append(name)
        return in_database(postgres_server.url, name)

    yield make
    for name in made:
        statement(postgres_server.url, f"DROP DATABASE {name} WITH (FORCE)")
