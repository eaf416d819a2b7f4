"""Limits of the API: bodies, time, and calls of one key however many processes serve them."""

from __future__ import annotations

import logging
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import text

from ventros_pipeline.api.frame import BODY_BYTES, EVENT_BYTES
from ventros_pipeline.crm import access
from ventros_pipeline.crm.access import Caller, caller_of, count_call
from ventros_pipeline.crm.channels import Channel
from ventros_pipeline_tests.api.conftest import Office, import_url, problem, served


def test_two_processes_count_the_calls_of_a_key_together(office: Office, channel: Channel) -> None:
    url = import_url(channel, "import-status")
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(office.client("owner", api_read_rate=6)) for _ in range(2)
        )
        answers = [client.get(url) for _ in range(4) for client in (one, other)]
        assert [answer.status_code for answer in answers] == [200] * 6 + [429] * 2
        problem(answers[-1], 429, "too-many-requests")
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        # Somebody else's key, and calls of the other kind, are counted apart.
        assert one.post(import_url(channel, "cancel")).status_code == 409
        headers = {"Authorization": "Bearer key of stranger"}
        assert other.get(url, headers=headers).status_code == 404


def test_starts_are_rarer_than_reads_and_every_try_counts(office: Office, channel: Channel) -> None:
    with office.client("owner", api_start_rate=3) as client:
        said = [
            client.post(import_url(channel, what)).status_code
            for what in ("import-history", "import-history", "cancel", "cancel")
        ]
        assert said == [202, 409, 202, 429]
        assert client.get(import_url(channel, "import-status")).status_code == 200


def test_the_defaults_are_sixty_reads_and_ten_starts_a_minute() -> None:
    from ventros_pipeline.settings import Settings

    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    assert (settings.api_read_rate, settings.api_start_rate) == (60, 10)
    assert access.WINDOW_SECONDS == 60


def owner_of(office: Office) -> Caller:
    caller = caller_of(office.engine, "key of owner", office.now)
    assert caller is not None
    return caller


def test_calls_at_the_same_moment_are_counted_one_by_one(office: Office) -> None:
    caller = owner_of(office)
    waits: list[float] = []

    def call() -> None:
        waits.extend(count_call(office.engine, caller, "read", 10) for _ in range(5))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wait == 0 for wait in waits) == [False] * 30 + [True] * 10


def test_the_window_slides(office: Office) -> None:
    caller = owner_of(office)
    assert [count_call(office.engine, caller, "read", 3) for _ in range(3)] == [0, 0, 0]

    def shift(seconds: int) -> None:
        """Let time go by for what was counted."""
        office.execute(
            "UPDATE history_sync.api_calls SET called_at = ARRAY("
            "SELECT called - :s * interval '1 second' FROM unnest(called_at) AS called)",
            s=seconds,
        )

    shift(40)
    assert 19 < count_call(office.engine, caller, "read", 3) <= 20
    assert count_call(office.engine, caller, "read", 4) == 0
    shift(21)
    # The three have left the window, the fourth has not; a refused call was not counted.
    assert [count_call(office.engine, caller, "read", 3) == 0 for _ in range(3)] == [
        True,
        True,
        False,
    ]
    # A lower limit waits until enough of them are gone.
    assert 59 < count_call(office.engine, caller, "read", 1) <= 60


def test_what_was_counted_goes_when_a_key_is_silent(office: Office) -> None:
    owner, stranger = owner_of(office), caller_of(office.engine, "key of stranger", office.now)
    assert stranger is not None
    for kind in ("read", "start"):
        count_call(office.engine, stranger, kind, 5)
    office.execute("UPDATE history_sync.api_calls SET idle_from = now() - interval '1 second'")
    for _ in range(20):
        count_call(office.engine, owner, "read", 5)
    kept = office.rows(
        "SELECT key_id, kind, cardinality(called_at) AS n FROM history_sync.api_calls"
    )
    assert kept == [{"key_id": owner.key_id, "kind": "read", "n": 5}]


def test_who_has_no_key_is_counted_nowhere(office: Office, channel: Channel) -> None:
    with office.client("nobody") as client:
        for _ in range(5):
            problem(client.get(import_url(channel, "import-status")), 401, "unauthenticated")
    assert office.value("SELECT count(*) FROM history_sync.api_calls") == 0


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_above_the_limit_is_refused(
    announced: bool, office: Office, channel: Channel
) -> None:
    paths = {
        import_url(channel, "import-history"): BODY_BYTES,
        f"/api/v1/waha/channels/{channel.id}/events": EVENT_BYTES,
    }
    with office.client("owner") as client:
        for path, limit in paths.items():
            whole = b"{" + b" " * limit
            content = (
                whole if announced else (whole[at : at + 9999] for at in range(0, limit, 9999))
            )
            said = problem(
                client.post(path, content=content, headers={"content-type": "application/json"}),
                413,
                "too-large",
            )
            assert f"{limit:,} bytes" in said["detail"]


def test_a_body_that_never_ends_is_given_up(office: Office, channel: Channel) -> None:
    with served(office.app(request_seconds=0.5)) as url:
        where = urlsplit(url)
        with socket.create_connection((where.hostname, where.port), timeout=20) as connection:
            connection.sendall(
                f"POST {import_url(channel, 'import-history')} HTTP/1.1\r\nHost: x\r\n"
                "X-API-Key: key of owner\r\nContent-Type: application/json\r\n"
                "Content-Length: 10\r\n\r\n{".encode()
            )
            said = connection.recv(65536)
        assert said.startswith(b"HTTP/1.1 503 ")
        assert b"urn:ventros:problem:unavailable" in said
        assert httpx.get(f"{url}/health").status_code == 200


def test_a_request_that_waits_for_the_database_too_long_is_given_up(
    office: Office, channel: Channel
) -> None:
    with (
        office.engine.begin() as holder,
        served(office.app(request_seconds=0.5)) as url,
        httpx.Client(base_url=url, headers={"X-API-Key": "key of owner"}) as client,
    ):
        holder.execute(
            text("SELECT id FROM channels WHERE id = :id FOR UPDATE"), {"id": channel.id}
        )
        answer = client.post(import_url(channel, "import-history"))
        problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "5"
        holder.rollback()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if office.value("SELECT count(*) FROM history_sync.imports"):
            break
        time.sleep(0.05)
    # As the answer says: what it began may be done nevertheless.
    assert office.value("SELECT count(*) FROM history_sync.imports") == 1


def test_a_statement_that_the_database_gives_up_is_no_servers_error(
    office: Office, channel: Channel
) -> None:
    with office.client("owner") as client:
        office.execute("DROP TABLE history_sync.api_calls")
        said = problem(client.get(import_url(channel, "import-status")), 500, "internal")
        assert "api_calls" not in str(said)
        name = office.engine.url.database
        office.execute(f"ALTER DATABASE {name} SET lock_timeout = '100ms'")
        office.engine.dispose()
        with office.engine.begin() as holder:
            holder.execute(text("LOCK TABLE users"))
            problem(client.get(import_url(channel, "import-status")), 503, "unavailable")


def test_an_error_shows_and_logs_nothing_of_the_request(
    office: Office, channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    office.execute("ALTER TABLE history_sync.api_calls DROP COLUMN wait")
    with office.client("owner") as client:
        answer = client.get(import_url(channel, "import-status"))
    said = problem(answer, 500, "internal")
    assert len(answer.content) < 400
    lines = "\n".join(record.getMessage() for record in caplog.records)
    assert f"ProgrammingError at {Path('/').root}" in lines
    assert said["instance"].removeprefix("urn:uuid:") in lines
    assert "SELECT" not in lines
    assert access.hash_of("key of owner") not in lines
    assert all(record.exc_info is None for record in caplog.records)
