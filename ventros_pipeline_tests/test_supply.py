"""What comes from outside: every package is pinned by its hash, and nothing is fetched unasked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from supply.audit import LOCKS, judged

ROOT = Path(__file__).parents[1]
REQUIREMENT = re.compile(r"^[A-Za-z0-9._-]+(\[[a-z,]+\])?==[^\s;]+( ;[^\\]+)?")
# Every import of the package in a process whose sockets are walls. What a name resolves to is
# network, too; pairs and Unix sockets stay inside of the machine.
WALLED = """
import importlib, pkgutil, socket, sys

def wall(*arguments, **named):
    raise AssertionError("a module reached for the network when it was imported")

for name in ("connect", "connect_ex", "bind", "sendto"):
    setattr(socket.socket, name, wall)
for name in ("getaddrinfo", "gethostbyname", "create_connection"):
    setattr(socket, name, wall)
if sys.argv[1] == "reach":
    socket.create_connection(("127.0.0.1", 9))
import ventros_pipeline
found = [module.name for module in pkgutil.walk_packages(
    ventros_pipeline.__path__, "ventros_pipeline.")]
for name in found:
    if ".migrations" not in name:  # Alembic runs these itself.
        importlib.import_module(name)
print(len(found))
"""


@pytest.mark.parametrize("lock", LOCKS, ids=str)
def test_every_locked_package_has_a_version_and_a_hash(lock: Path) -> None:
    text = (ROOT / lock).read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and line.lstrip()[:1] != "#"]
    assert lines
    assert [line[:60] for line in lines if not REQUIREMENT.match(line)] == []
    assert [line[:60] for line in lines if "--hash=sha256:" not in line] == []
    assert not re.search(r"https?:|/(home|tmp|root|work|opt)/", text)


def test_nothing_is_installed_by_any_other_way_than_by_hash() -> None:
    scripts = [ROOT / "Makefile", ROOT / ".ci" / "run", *ROOT.glob("benchmarks/**/*.py")]
    text = "\n".join(path.read_text("utf-8").replace("\\\n", " ") for path in scripts)
    installs = re.findall(r'pip install .*|"pip", "install".*', text)
    assert len(installs) >= 5
    by_hash = [line for line in installs if "--require-hashes" in line and "--no-deps" in line]
    others = [line for line in installs if line not in by_hash]
    # Our own code, without its dependencies; and uv, which takes the whole lock.
    assert len(others) == 2
    assert all("--no-deps" in line or "--require-hashes" in line for line in others)


@pytest.mark.parametrize("wall", ["stay", "reach"])
def test_no_module_reaches_for_the_network_when_it_is_imported(wall: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WALLED, wall], capture_output=True, text=True, check=False
    )
    if wall == "reach":
        assert "reached for the network" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 100


def package(name: str, **members: Any) -> dict[str, Any]:
    return {"name": name, "version": "1.0", **members}


CLEAN = package("one", vulns=[])
FLAWED = package("two", vulns=[{"id": "GHSA-1", "fix_versions": ["1.1"]}])
OPEN = package("three", vulns=[{"id": "GHSA-2", "fix_versions": []}])
UNKNOWN = {"name": "four", "skip_reason": "Dependency not found"}


@pytest.mark.parametrize(
    ("packages", "code", "says"),
    [
        ([], 2, "NOT AUDITED"),
        ([UNKNOWN, UNKNOWN], 2, "NOT AUDITED"),
        ([CLEAN, CLEAN], 0, "nothing is known against 2 packages"),
        ([CLEAN, UNKNOWN], 1, "four: not looked up"),
        ([CLEAN, FLAWED], 1, "two 1.0: GHSA-1, mended in 1.1"),
        ([OPEN], 1, "three 1.0: GHSA-2, mended in no version yet"),
    ],
)
def test_an_audit_that_could_ask_nobody_is_none(
    packages: list[dict[str, Any]], code: int, says: str
) -> None:
    found = judged(json.loads(json.dumps(packages)))
    assert found[0] == code
    assert says in found[1]
