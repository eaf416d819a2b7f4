"""`ventros serve` in a CRM that was there before: as a role that may do little, over real HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import httpx
import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

from ventros_pipeline.crm import plans
from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.database import connect, libpq_url
from ventros_pipeline.crm.migrate import migrate
from ventros_pipeline.crm.sql import read_sql
from ventros_pipeline.crm.tenants import of_all_projects
from ventros_pipeline_tests.api.conftest import WEBHOOK_KEY, Office, import_url, problem
from ventros_pipeline_tests.api.test_webhooks import TEXT_MESSAGE, Webhook, envelope

# The same CRM, its owner and its row-level security.
from ventros_pipeline_tests.crm.test_existing_crm import owner, run_script, security
from ventros_pipeline_tests.served import healthy

__all__ = ["owner"]
METRICS_TOKEN = "a token of the tests"
DONA = UUID("00000000-0000-0000-0000-00000000aa01")


@pytest.fixture
def server_role(owner: Engine) -> Iterator[Engine]:
    """The role that serves, in the migrated CRM."""
    migrate(owner)
    root = connect(owner.url.set(username="postgres"))
    run_script(
        root,
        "DO $$ BEGIN CREATE ROLE ventros_server LOGIN; "
        "EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    )
    root.dispose()
    run_script(owner, read_sql("roles/create_server.sql"))
    engine = connect(owner.url.set(username="ventros_server"))
    yield engine
    engine.dispose()


@pytest.fixture
def crm(owner: Engine, server_role: Engine) -> Office:
    """The CRM as its owner sees it, over all projects, with a key of its user `owner`."""
    office = Office(of_all_projects(owner))
    office.user("owner")
    office.execute("UPDATE projects SET user_id = :id", id=office.users["owner"])
    return office


@pytest.fixture
def channel(crm: Office) -> Channel:
    return crm.channel("Loja")


def test_the_whole_api_works_as_the_role_that_serves(
    crm: Office, server_role: Engine, channel: Channel
) -> None:
    serving = Office(server_role)
    with serving.client("owner", metrics_token=METRICS_TOKEN) as client:
        assert client.get("/ready").status_code == 200
        assert client.post(import_url(channel, "import-history")).status_code == 202
        problem(client.post(import_url(channel, "import-history")), 409, "busy")
        said = client.get(import_url(channel, "import-status")).json()
        assert said["progress"]["ranges"][0]["state"] == "waiting"
        assert client.post(import_url(channel, "cancel")).status_code == 202
        assert client.post(import_url(channel, "import-history")).status_code == 202
        metrics = client.get("/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
        assert f'ventros_import_ranges{{channel="{channel.key}",state="waiting"}}' in metrics.text
        webhook = Webhook.of(channel, envelope("message.any", TEXT_MESSAGE))
        assert [webhook.send(client).status_code for _ in range(2)] == [202, 200]
    assert len(plans.open_plans(crm.engine)) == 1
    assert crm.value("SELECT count(*) FROM history_sync.hints") == 1
    assert crm.value("SELECT last_used IS NOT NULL FROM user_api_keys WHERE name = 'owner'")


FORBIDDEN = (
    "SELECT password_hash FROM users",
    "SELECT email FROM users",
    "UPDATE users SET role = 'admin'",
    "UPDATE user_api_keys SET active = true",
    "UPDATE user_api_keys SET expires_at = NULL",
    "INSERT INTO user_api_keys (user_id, name, key_hash) VALUES (gen_random_uuid(), 'x', 'x')",
    "DELETE FROM user_api_keys",
    "INSERT INTO project_members SELECT * FROM project_members",
    "UPDATE project_members SET role = 'admin'",
    "SELECT text FROM messages",
    "SELECT name FROM contacts",
    "SELECT payload FROM history_sync.quarantine",
    "UPDATE history_sync.channel_totals SET inserted = 0",
    "SELECT content FROM notes",
    "UPDATE channels SET config = '{}'",
    "UPDATE channels SET history_import_enabled = true",
    "UPDATE outbox_events SET status = 'pending'",
    "SELECT event_data FROM outbox_events",
    "SELECT encrypted_value_ciphertext FROM credentials",
    "DELETE FROM history_sync.imports",
    "DELETE FROM history_sync.hints",
    "DELETE FROM history_sync.applied_sql",
    "CREATE TABLE history_sync.mine (id int)",
    "SET ROLE ventros_owner",
)


def test_it_may_do_no_more_than_serving_needs(server_role: Engine) -> None:
    allowed = []
    for statement in FORBIDDEN:
        with server_role.connect() as connection:
            try:
                connection.execute(text(statement))
            except ProgrammingError as refused:
                assert isinstance(refused.orig, psycopg.errors.InsufficientPrivilege)  # noqa: PT017
            else:
                allowed.append(statement)
    assert allowed == []


def test_what_it_was_given_can_be_given_twice_and_taken_back(
    owner: Engine, server_role: Engine
) -> None:
    run_script(owner, read_sql("roles/create_server.sql"))
    run_script(owner, read_sql("roles/drop_server.sql"))
    with server_role.connect() as connection, pytest.raises(ProgrammingError):
        connection.execute(text("SELECT count(*) FROM public.channels"))
    assert not any("ventros_server" in line for line in security(owner) - {"ventros_server"})


def test_ventros_serve_serves_and_ends_when_it_is_told_to(
    crm: Office, server_role: Engine, channel: Channel, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "VENTROS_ENV": "production",
        "VENTROS_HOME": str(tmp_path),
        "VENTROS_DATABASE_URL": libpq_url(server_role.url),
        "VENTROS_WEBHOOK_HMAC_KEY": WEBHOOK_KEY,
        "VENTROS_API_START_RATE": "2",
        "VENTROS_LOG_FORMAT": "json",
    }
    command = [str(Path(sys.executable).with_name("ventros")), "serve", "--port", "0", "--json"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        where = ("--port", url.rpartition(":")[2].strip("/"))
        assert healthy("api", environment, *where)
        headers = {"X-API-Key": "key of owner"}
        with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
            assert client.get("/health").json() == {"status": "ok"}
            body = {"strategy": "time_range", "time_range_days": 3}
            started = client.post(import_url(channel, "import-history"), json=body)
            assert (started.status_code, started.json()["days_total"]) == (202, 3)
            assert "server" not in started.headers
            problem(client.post(import_url(channel, "import-history")), 409, "busy")
            problem(client.post(import_url(channel, "cancel")), 429, "too-many-requests")
            unsigned = Webhook.of(channel, envelope("session.status"), key="another key, not ours")
            problem(unsigned.send(client), 401, "unauthenticated")
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=40)
    assert process.returncode in (0, -signal.SIGTERM)
    assert not healthy("api", environment, *where)
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    requests = {(line["route"], line["status"]) for line in lines if line["event"] == "request"}
    assert ("/api/v1/crm/channels/{channel_id}/import-history", 202) in requests
    [refused] = [line for line in lines if line["event"] == "webhook refused"]
    assert (refused["channel"], refused["reason"]) == (channel.key, "unauthenticated")
    assert "key of owner" not in said
    assert "Traceback" not in said
