"""Where pages are typed: a home that the tutorial has filled, and fresh ones."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline_tests.docs.pages import ROOT, Page
from ventros_pipeline_tests.docs.shell import Shell, opened
from ventros_pipeline_tests.served import free_port


@dataclass
class Tutored:
    """The home in which the tutorial was typed, and what that printed."""

    shell: Shell
    page: Page
    printed: list[str]


@pytest.fixture(scope="session")
def clone() -> Iterator[Path]:
    """An empty folder whose path is short enough for a socket, ended with its Postgres."""
    folder = Path(tempfile.mkdtemp(prefix="vt", dir="/tmp"))
    yield folder
    EmbeddedServer("", folder / ".ventros/postgres").stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def tutored(clone: Path) -> Iterator[Tutored]:
    """A home that holds the tutorial's account; its stand-in for WAHA goes on answering."""
    page = Page(ROOT / "docs/tutorial.md")
    ports = {"3001": str(free_port()), "8090": str(free_port())}
    with opened(Shell(clone, ports)) as shell:
        yield Tutored(shell, page, shell.type_page(page))
