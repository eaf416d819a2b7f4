from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from ventros_pipeline.crm import embedded
from ventros_pipeline.crm.database import DatabaseError, libpq_url
from ventros_pipeline.crm.embedded import EmbeddedServer

STARTER = """
import sys
from pathlib import Path
from ventros_pipeline.crm import embedded
print(embedded.start(Path(sys.argv[1])).url)
"""


@pytest.fixture
def folder(short_dir: Path) -> Iterator[Path]:
    """A place for a data folder; whatever runs there is stopped afterwards."""
    yield short_dir / "pg"
    for pid_file in short_dir.rglob("postmaster.pid"):
        EmbeddedServer("", pid_file.parent).stop()


def postmaster(directory: Path) -> int:
    return int((directory / "postmaster.pid").read_text().splitlines()[0])


def ask(server: EmbeddedServer, sql: str) -> object:
    with psycopg.connect(libpq_url(server.url), autocommit=True) as session:
        cursor = session.execute(sql)  # type: ignore[call-overload]
        row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None


def test_the_server_survives_its_starter_and_is_reused(folder: Path) -> None:
    command = [sys.executable, "-c", STARTER, str(folder)]
    url = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    pid = postmaster(folder)

    server = embedded.start(folder)

    assert (server.url, postmaster(folder)) == (url, pid)
    assert ask(server, "SELECT current_database()") == "ventros"


def test_two_processes_may_start_it_at_once(folder: Path) -> None:
    command = [sys.executable, "-c", STARTER, str(folder)]
    starters = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    urls = {starter.communicate(timeout=60)[0] for starter in starters}
    assert [starter.returncode for starter in starters] == [0, 0]
    assert len(urls) == 1
    running = [
        process
        for process in psutil.process_iter(["name", "cmdline"])
        # A process that ends while it is asked has no command line: None, not an empty list.
        if process.info["name"] == "postgres"
        and str(folder) in " ".join(process.info["cmdline"] or ())
    ]
    assert [process.pid for process in running] == [postmaster(folder)]


def test_rows_survive_a_stop_and_a_crash(folder: Path) -> None:
    server = embedded.start(folder)
    ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    server.stop()  # twice is harmless
    assert not (folder / "postmaster.pid").exists()

    assert ask(embedded.start(folder), "SELECT answer FROM kept") == 42

    pid = postmaster(folder)
    os.kill(pid, signal.SIGKILL)
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert ask(embedded.start(folder), "SELECT answer FROM kept") == 42


def test_a_leftover_pid_file_whose_number_lives_on_elsewhere_is_no_server(folder: Path) -> None:
    server = embedded.start(folder)
    pid_file = folder / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    server.stop()
    # Of the server's own user: a process of anybody else Postgres would ignore by itself.
    other = subprocess.Popen(["sleep", "60"], user=folder.stat().st_uid)
    pid_file.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")

    assert ask(embedded.start(folder), "SELECT 1") == 1
    assert other.poll() is None, "the bystander was left alone"
    other.kill()
    other.wait()


@pytest.mark.parametrize("content", ["", "x\n"])
def test_a_broken_pid_file_is_no_server(folder: Path, content: str) -> None:
    embedded.start(folder).stop()
    (folder / "postmaster.pid").write_text(content)
    assert ask(embedded.start(folder), "SELECT 1") == 1


def test_an_initdb_that_was_killed_is_done_again(folder: Path) -> None:
    half = folder.with_name("pg.new")
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    assert ask(embedded.start(folder), "SELECT 1") == 1
    assert not half.exists()


def test_a_path_too_long_for_a_socket_works(folder: Path) -> None:
    long = folder.parent / ("long" * 20) / ("er" * 20) / "pg"
    server = embedded.start(long)
    assert ask(server, "SELECT 1") == 1
    socket_dir = Path((long / "postmaster.pid").read_text().splitlines()[4])
    assert len(str(socket_dir)) < 100
    # Trust is the only authentication, so the folder has to keep others out.
    assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700
    server.stop()
    assert embedded.start(long).url == server.url


def test_a_path_with_spaces_and_shell_characters_works(folder: Path) -> None:
    odd = folder.parent / "my $(touch pwned) 'data' & 100%+" / "pg"
    server = embedded.start(odd)
    assert ask(server, "SELECT 1") == 1
    assert embedded.start(odd).url == server.url
    assert not list(folder.parent.rglob("pwned"))


def test_a_folder_with_other_files_is_refused(folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(DatabaseError, match="neither empty nor a Postgres data folder"):
        embedded.start(folder)
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_refused_with_advice(folder: Path) -> None:
    folder.write_text("a file, not a folder")
    with pytest.raises(DatabaseError, match="VENTROS_HOME"):
        embedded.start(folder / "pg")


def test_a_folder_of_another_postgres_version_is_refused(folder: Path) -> None:
    folder.mkdir()
    (folder / "PG_VERSION").write_text("14\n")
    with pytest.raises(DatabaseError, match="made by Postgres 14"):
        embedded.start(folder)


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    with pytest.raises(DatabaseError, match="shared_buffers"):
        embedded.start(folder, settings={"shared_buffers": "nonsense"})


def test_a_socket_folder_of_somebody_else_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = folder.parent / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    long = folder.parent / ("long" * 30) / "pg"
    server = embedded.start(long)
    trap = next(temporary.glob("ventros-*"))
    server.stop()
    assert not trap.exists()
    trap.symlink_to(folder.parent)
    with pytest.raises(DatabaseError, match="belongs to somebody else"):
        embedded.start(long)


def test_variables_meant_for_another_server_do_not_reach_this_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGPORT": "6543", "PGHOST": "nowhere", "PGDATA": "/nowhere"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VENTROS_TEST_API_KEY", "hunter2")
    server = embedded.start(folder)
    assert ask(server, "SELECT 1") == 1
    assert "VENTROS_TEST_API_KEY" not in psutil.Process(postmaster(folder)).environ()
    server.stop()
    server.stop()


def test_stopping_a_server_whose_folder_is_gone_is_harmless(folder: Path) -> None:
    EmbeddedServer("", folder / "gone").stop()


def test_the_server_of_a_deleted_folder_does_not_take_its_successor_along(folder: Path) -> None:
    """It would remove the socket within a minute: `make clean` and `make demo` did that."""
    embedded.start(folder)
    ghost = psutil.Process(postmaster(folder))
    shutil.rmtree(folder)

    server = embedded.start(folder)

    assert not ghost.is_running()
    assert ask(server, "SELECT 1") == 1
