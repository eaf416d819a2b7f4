from __future__ import annotations

import subprocess
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

import ventros_pipeline
from ventros_pipeline.crm.database import (
    DatabaseError,
    connect,
    described,
    libpq_url,
    normalise_url,
)
from ventros_pipeline_tests.conftest import SYSTEM_POSTGRES

OURS = "postgresql+psycopg"
BARE = "postgresql"


@pytest.mark.parametrize(
    ("given", "normal", "libpq"),
    [
        ("postgres://u:p@h:5433/d", "://u:p@h:5433/d", "://u:p@h:5433/d"),
        (f"{BARE}://u:p@h/d", "://u:p@h/d", "://u:p@h/d"),
        (f"{BARE}+psycopg://u@h/d", "://u@h/d", "://u@h/d"),
        (f"{BARE}+psycopg2://u:p%40%2Fs@h/d", "://u:p%40%2Fs@h/d", "://u:p%40%2Fs@h/d"),
        ("postgres:///d", ":///d", ":///d"),
        (" postgres://h/d\n", "://h/d", "://h/d"),
        ("postgres://u@/d?host=/run/pg", "://u@/d?host=%2Frun%2Fpg", "://u@/d?host=%2Frun%2Fpg"),
        ("postgres://u@/d?host=/a b", "://u@/d?host=%2Fa+b", "://u@/d?host=%2Fa%20b"),
        ("postgres://u@[::1]:5/d", "://u@[::1]:5/d", "://u@[::1]:5/d"),
        (
            "postgres://h/d?sslmode=require&application_name=x",
            "://h/d?application_name=x&sslmode=require",
            "://h/d?application_name=x&sslmode=require",
        ),
        (
            "postgres:///d?host=a:1&host=b:2",
            ":///d?host=a%3A1&host=b%3A2",
            ":///d?host=a%2Cb&port=1%2C2",
        ),
    ],
)
def test_every_usual_form_of_a_url_becomes_ours_and_one_for_psql(
    given: str, normal: str, libpq: str
) -> None:
    url = normalise_url(given)
    assert url.drivername == OURS
    assert normalise_url(url.render_as_string(hide_password=False)) == url
    assert url == normalise_url(OURS + normal)
    assert libpq_url(given) == libpq_url(url) == BARE + libpq


def test_dagsters_own_storage_gets_its_own_driver() -> None:
    assert normalise_url("postgres://h/d", driver="psycopg2").drivername == f"{BARE}+psycopg2"


@pytest.mark.parametrize(
    "given",
    [
        "mysql://u:hunter2@h/d",
        "sqlite:///hunter2",
        "host=h password=hunter2",
        "hunter2",
        "",
        "postgres://u:hunter2@h:port/d",
        "postgres://u:p@hunter2@h/d",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_repeating_it(given: str) -> None:
    with pytest.raises(DatabaseError) as refused:
        normalise_url(given)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("postgres://u:hunter2@127.0.0.1:1/d", r"u@127\.0\.0\.1:1/d.*Is the server running"),
        ("postgres://u:hunter2@/d?host=/nowhere", r"u@/nowhere/d.*socket's folder"),
        ("postgres://u:hunter2@no-such-host.invalid/d", "host's name is unknown"),
    ],
)
def test_a_server_that_is_not_there_is_named_and_the_password_is_not(
    given: str, words: str
) -> None:
    with pytest.raises(DatabaseError, match=words) as refused:
        connect(given)
    assert "hunter2" not in str(refused.value)


def test_a_database_or_role_that_does_not_exist_is_said_so(database_url: str) -> None:
    url = normalise_url(database_url)
    with pytest.raises(DatabaseError, match=r'"nowhere" does not exist\. Create it'):
        connect(url.set(database="nowhere"))
    with pytest.raises(DatabaseError, match='role "nobody" does not exist'):
        connect(url.set(username="nobody"))


def test_a_connection_has_utc_its_name_and_its_timeouts(database_url: str) -> None:
    engine = connect(database_url, application_name="a test", statement_timeout=1.5, lock_timeout=2)
    with engine.connect() as connection:
        shown = [
            connection.scalar(text(f"SHOW {name}"))
            for name in ("TimeZone", "jit", "application_name", "statement_timeout", "lock_timeout")
        ]
        connection.rollback()
        assert shown == ["UTC", "off", "a test", "1500ms", "2s"]
        # Set for the session, not for the transaction that set them.
        assert connection.scalar(text("SHOW TimeZone")) == "UTC"
    engine.dispose()


def test_what_the_url_says_wins_over_our_defaults(database_url: str) -> None:
    url = normalise_url(database_url).update_query_dict({"application_name": "theirs"})
    engine = connect(url)
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW application_name")) == "theirs"
    engine.dispose()


def test_a_connection_that_broke_is_replaced(database_url: str) -> None:
    engine = connect(database_url)
    with engine.connect() as connection:
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
    with psycopg.connect(libpq_url(database_url), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT pg_backend_pid()")) != pid
    engine.dispose()


@pytest.mark.skipif(not SYSTEM_POSTGRES.is_dir(), reason="psql is not installed")
def test_psql_takes_the_libpq_url(database_url: str) -> None:
    command = [str(SYSTEM_POSTGRES / "psql"), libpq_url(database_url), "-tAc", "SELECT 40 + 2"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "42\n"


def test_a_description_holds_no_password() -> None:
    assert described("postgres://u:hunter2@h:1/d?password=hunter2") == "u@h:1/d"


def test_the_bare_scheme_stands_in_no_module() -> None:
    package = Path(ventros_pipeline.__file__).parent
    bare = f"{BARE}://"
    assert [path for path in package.rglob("*.py") if bare in path.read_text()] == []
