"""Servers and accounts the replay tests share."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import ventros_pipeline.replay
from ventros_pipeline.replay.account import Account
from ventros_pipeline.replay.server import ReplayServer

ACCOUNT_A = Path(ventros_pipeline.replay.__file__).parent / "accounts" / "a"
KEY = "local-test-key"


@pytest.fixture(scope="session")
def account_a() -> Iterator[Account]:
    account = Account.load(ACCOUNT_A)
    yield account
    account.close()


@pytest.fixture(scope="session")
def shared_server_a(account_a: Account) -> Iterator[ReplayServer]:
    """One server for every test that only reads; leave its account as it is."""
    with ReplayServer(account_a, api_key=KEY) as server:
        yield server


@pytest.fixture(scope="session")
def waha(shared_server_a: ReplayServer) -> Iterator[httpx.Client]:
    with client(shared_server_a) as session:
        yield session


@pytest.fixture
def server_a(account_a: Account) -> Iterator[ReplayServer]:
    """A server whose switches a test may change; the account is shared."""
    with ReplayServer(account_a, api_key=KEY) as server:
        yield server


@pytest.fixture
def own_server_a() -> Iterator[ReplayServer]:
    """A server whose account a test may change."""
    with ReplayServer(ACCOUNT_A, api_key=KEY) as server:
        yield server


def client(server: ReplayServer) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers={"X-Api-Key": server.api_key}, timeout=30)
