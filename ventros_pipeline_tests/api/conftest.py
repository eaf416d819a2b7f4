"""Two companies with their people, keys and channels, and the API over their database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy import Engine

from ventros_pipeline.api.app import create_app
from ventros_pipeline.api.server import listen, server_of
from ventros_pipeline.crm import access, lifecycle, plans
from ventros_pipeline.crm.channels import Channel, add_channel, get_channel
from ventros_pipeline.crm.database import connect
from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline.settings import Settings
from ventros_pipeline_tests.conftest import fresh_database

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
START = date(2026, 4, 1)
WEBHOOK_KEY = "a webhook key of the tests"
SESSION = "default"


@dataclass
class Office:
    """A CRM with two companies; keys are `key of NAME`."""

    engine: Engine
    now: datetime = NOW
    users: dict[str, UUID] = field(default_factory=dict)
    projects: dict[str, UUID] = field(default_factory=dict)

    def user(self, name: str, *, role: str = "user", **columns: object) -> UUID:
        """Add a user with a key; `key_…` are columns of the key."""
        of_key = {n.removeprefix("key_"): v for n, v in columns.items() if n.startswith("key_")}
        of_user = {n: v for n, v in columns.items() if not n.startswith("key_")}
        self.users[name] = user_id = uuid4()
        self.insert(
            "users", id=user_id, name=name, email=name, password_hash="!", role=role, **of_user
        )
        key_hash = access.hash_of(f"key of {name}")
        self.insert("user_api_keys", user_id=user_id, name=name, key_hash=key_hash, **of_key)
        return user_id

    def project(self, name: str, owner: str) -> UUID:
        """Add a company."""
        account, self.projects[name] = uuid4(), uuid4()
        user_id = self.users[owner]
        self.insert("billing_accounts", id=account, user_id=user_id, name=name, billing_email=name)
        self.insert(
            "projects",
            id=self.projects[name],
            user_id=user_id,
            billing_account_id=account,
            tenant_id=name,
            name=name,
        )
        return self.projects[name]

    def member(self, name: str, project: str, role: str, **columns: object) -> None:
        """Let a user take part in a company, as one of its agents."""
        agent_id, project_id = uuid4(), self.projects[project]
        of_agent = {n.removeprefix("agent_"): v for n, v in columns.items() if "agent_" in n}
        columns = {n: v for n, v in columns.items() if "agent_" not in n}
        self.insert(
            "agents",
            id=agent_id,
            project_id=project_id,
            user_id=self.users[name],
            tenant_id=project,
            name=name,
            **of_agent,
        )
        self.insert(
            "project_members",
            id=uuid4(),
            project_id=project_id,
            agent_id=str(agent_id),
            role=role,
            invited_by="owner",
            invited_at=NOW,
            **columns,
        )

    def channel(self, project: str, *, enabled: bool = True, session: str = SESSION) -> Channel:
        """Add a WhatsApp channel to a company."""
        channel = add_channel(
            self.engine,
            session=session,
            base_url=f"http://{project}.waha.test",
            api_key_env=None,
            project=project,
            allow_groups=False,
        )
        self.execute("UPDATE channels SET status = 'active' WHERE id = :id", id=channel.id)
        if enabled:
            lifecycle.enable(self.engine, channel)
        return get_channel(self.engine, str(channel.id))

    def insert(self, table: str, **values: object) -> None:
        names = ", ".join(values)
        marks = ", ".join(f":{name}" for name in values)
        self.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", **values)

    def execute(self, statement: str, **values: object) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement), values)

    def value(self, statement: str, **values: object) -> Any:
        with self.engine.connect() as connection:
            return connection.execute(sa.text(statement), values).scalar()

    def rows(self, statement: str, **values: object) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(sa.text(statement), values).mappings()]

    def app(self, *, request_seconds: float = 20.0, **settings: object) -> FastAPI:
        """Return the application; rates are high unless a test sets them."""
        chosen = {
            "history_start": START,
            "api_read_rate": 1000,
            "api_start_rate": 1000,
            "webhook_hmac_key": WEBHOOK_KEY,
            "run_days": 31,
            **settings,
        }
        return create_app(
            self.engine,
            Settings(_env_file=None, **chosen),  # type: ignore[arg-type]
            now=lambda: self.now,
            request_seconds=request_seconds,
        )

    @contextmanager
    def client(self, who: str | None = None, **settings: Any) -> Iterator[httpx.Client]:
        """Serve the application over HTTP and return a client that shows somebody's key."""
        headers = {"Authorization": f"Bearer key of {who}"} if who else {}
        with (
            served(self.app(**settings)) as url,
            httpx.Client(base_url=url, headers=headers, timeout=30) as client,
        ):
            yield client

    def cancel(self, channel: Channel) -> None:
        plans.cancel(self.engine, channel)


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an application on loopback as `ventros serve` does; give its address."""
    listener = listen("127.0.0.1", 0)
    listener.listen(100)
    server = server_of(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)


@contextmanager
def opened(server_url: str, template: str) -> Iterator[Office]:
    with fresh_database(server_url, template) as url:
        engine = connect(url, application_name="ventros-tests", pool_size=5, max_overflow=20)
        try:
            yield Office(engine)
        finally:
            engine.dispose()


@pytest.fixture
def office(postgres_server: EmbeddedServer, migrated_template: str) -> Iterator[Office]:
    """A company `ours` of the user `owner`, and a company `theirs` of `stranger`."""
    with opened(postgres_server.url, migrated_template) as office:
        for owner, project in (("owner", "ours"), ("stranger", "theirs")):
            office.user(owner)
            office.project(project, owner)
        yield office


@pytest.fixture
def channel(office: Office) -> Channel:
    """A channel of `ours` that may be imported."""
    return office.channel("ours")


def import_url(channel: Channel | UUID, what: str) -> str:
    channel_id = channel.id if isinstance(channel, Channel) else channel
    return f"/api/v1/crm/channels/{channel_id}/{what}"


def problem(answer: Any, status: int, kind: str) -> dict[str, Any]:
    """Assert that an answer is a problem of a kind, whole and with nothing else; return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said: dict[str, Any] = answer.json()
    assert said["type"] == f"urn:ventros:problem:{kind}"
    assert said["status"] == status
    assert set(said) - {"errors"} == {"type", "title", "status", "detail", "instance"}
    assert said["instance"] == f"urn:uuid:{answer.headers['x-request-id']}"
    return said
