"""Where pages are typed: a home that the tutorial has filled, and fresh ones."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ventros_pipeline.crm.database import connect, libpq_url
from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.conftest import fresh_database
from ventros_pipeline_tests.crm.test_existing_crm import CRM, run_script
from ventros_pipeline_tests.docs.pages import ROOT, Page
from ventros_pipeline_tests.docs.shell import Shell
from ventros_pipeline_tests.import_.world import message, write_account
from ventros_pipeline_tests.served import free_port

NewShell = Callable[[Mapping[str, str]], Shell]
# The key that the pages write, so a page that does not hand it on is refused.
WAHA_KEY = "the-key-of-your-session"
WAHA_URL = "https://waha.example.com"
ANA = "5511980000001@s.whatsapp.net"


@dataclass
class Tutored:
    """The home in which the tutorial was typed, and what that printed."""

    shell: Shell
    page: Page
    printed: list[str]


@contextmanager
def shell_in_a_clone(substitutes: Mapping[str, str]) -> Iterator[Shell]:
    """A shell in a folder whose path is short enough for a socket, ended with its Postgres."""
    folder = Path(tempfile.mkdtemp(prefix="vt", dir="/tmp"))
    shell = Shell(folder, substitutes)
    try:
        yield shell
    finally:
        shell.close()
        EmbeddedServer("", folder / ".ventros/postgres").stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def tutored() -> Iterator[Tutored]:
    """A home that holds the tutorial's account; its stand-in for WAHA goes on answering."""
    page = Page(ROOT / "docs/tutorial.md")
    port = str(free_port())
    substitutes = {
        "3001": port,
        "8090": str(free_port()),
        WAHA_URL: f"http://127.0.0.1:{port}",
        WAHA_KEY: "tutorial",
    }
    with shell_in_a_clone(substitutes) as shell:
        yield Tutored(shell, page, shell.type_page(page, stay=True))


@pytest.fixture
def new_shell() -> Iterator[NewShell]:
    """Makes shells in folders where nobody has typed anything yet."""
    with ExitStack() as stack:
        yield lambda substitutes: stack.enter_context(shell_in_a_clone(substitutes))


@pytest.fixture
def waha(tmp_path: Path) -> Iterator[ReplayServer]:
    """A WAHA server with a session of two messages of late, which takes the pages' key alone."""
    before = int(time.time()) - 2 * 86_400  # Each day of history costs time, empty ones, too.
    rows = [
        (ANA, message(ANA, "3EB0000A", before, "um")),
        (ANA, message(ANA, "3EB0000B", before + 60, "dois", from_me=True, ack=3)),
    ]
    with ReplayServer(write_account(tmp_path / "account", rows), api_key=WAHA_KEY) as server:
        yield server


@pytest.fixture
def owner_url(postgres_server: EmbeddedServer) -> Iterator[str]:
    """The owner's URL of a CRM that nobody has migrated yet, as psql takes it."""
    with fresh_database(postgres_server.url) as url:
        root = connect(url)
        run_script(root, CRM.read_text(encoding="utf-8"))
        with root.begin() as connection:
            # Roles belong to the server; the owner of a CRM may not make them.
            for role in ("ventros_importer", "ventros_server"):
                connection.exec_driver_sql(
                    f"DO $$ BEGIN CREATE ROLE {role} LOGIN; "
                    "EXCEPTION WHEN duplicate_object THEN NULL; END $$"
                )
        owner = root.url.set(username="ventros_owner")
        root.dispose()
        yield libpq_url(owner.render_as_string(hide_password=False))
