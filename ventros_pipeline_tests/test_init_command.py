"""`ventros init`: each answer is tested, asked again where it does not work, and kept for one."""

from __future__ import annotations

import io
import os
import pty
import select
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dotenv import dotenv_values
from sqlalchemy import Engine

from ventros_pipeline.crm.database import libpq_url
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.import_.world import KEY
from ventros_pipeline_tests.test_cli import VENTROS, Said, Ventros, settings, ventros, waha

__all__ = ["settings", "ventros", "waha"]
SECONDS = 60.0


@pytest.fixture
def unset(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A folder without any setting of WAHA or the database."""
    monkeypatch.delenv("VENTROS_DATABASE_URL")
    monkeypatch.delenv("WAHA_KEY", raising=False)
    return settings


@pytest.fixture
def init(unset: dict[str, str], ventros: Ventros, monkeypatch: pytest.MonkeyPatch) -> Ventros:
    """Runs `ventros init` without a terminal, with WAHA's key on standard input."""

    def run(*arguments: str, key: str = KEY) -> Said:
        monkeypatch.setattr(sys, "stdin", io.StringIO(key + "\n"))
        said = ventros("init", "--api-key-stdin", *arguments)
        for name in ("VENTROS_DATABASE_URL", "WAHA_KEY"):
            os.environ.pop(name, None)
        return said

    return run


def test_a_script_sets_everything_up_with_options_alone(
    init: Ventros,
    waha: ReplayServer,
    empty_database_url: str,
    ventros: Ventros,
    tmp_path: Path,
) -> None:
    url = libpq_url(empty_database_url)
    where = ("--waha-url", waha.url, "--session", "default", "--database-url", url)
    refused = init(*where)
    assert (refused.code, "ventros db migrate" in refused.sentence.splitlines()[-1]) == (1, True)

    said = init(*where, "--agent", "Histórico", "--yes", "--dry-run", "--json")

    assert said.code == 0
    done = said.json
    assert done["migrated"]
    assert done["wrote"] == []  # The first try, whose answers worked, has kept them.
    assert (done["forecast"]["rows"]["stored"], done["warnings"]) == (2, [])
    assert done["next"][0] == f"ventros import {done['channel']}"
    file = tmp_path / ".env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert dotenv_values(file) == {"WAHA_KEY": KEY, "VENTROS_DATABASE_URL": url}
    assert KEY not in said.err + said.out
    listed = ventros("channel", "list", "--json").json["channels"]
    assert [found["channel"] for found in listed] == [done["channel"]]


def test_what_stands_in_the_file_is_not_overwritten_silently(
    init: Ventros, waha: ReplayServer, engine: Engine, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    file.write_text("# mine\nWAHA_KEY=other\nVENTROS_PAGE_SIZE=7\n")
    url = libpq_url(engine.url)
    where = ("--waha-url", waha.url, "--session", "default", "--database-url", url)
    said = init(*where)
    assert (said.code, "has WAHA_KEY already" in said.sentence) == (1, True)
    assert file.read_text() == "# mine\nWAHA_KEY=other\nVENTROS_PAGE_SIZE=7\n"
    assert init(*where, "--yes").code == 0
    assert file.read_text().startswith("# mine\n")
    assert dotenv_values(file)["WAHA_KEY"] == KEY
    assert dotenv_values(file)["VENTROS_PAGE_SIZE"] == "7"


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--waha-url", "http://127.0.0.1:9", "Check that WAHA runs"),
        ("--waha-url", "waha", "must be http:// or https://"),
        ("--session", "nobody", "check the session's name"),
        ("--database-url", "mysql://x/y", "only Postgres will do"),
        ("--api-key-env", "AWS_SECRET", "whose name holds WAHA"),
    ],
)
def test_an_answer_that_does_not_work_ends_a_script_with_what_to_do(
    init: Ventros, waha: ReplayServer, engine: Engine, option: str, value: str, says: str
) -> None:
    where = {
        "--waha-url": waha.url,
        "--session": "default",
        "--database-url": libpq_url(engine.url),
    }
    said = init(*(word for pair in {**where, option: value}.items() for word in pair), "--yes")
    assert said.code == 1
    assert says in said.sentence
    assert not Path(".env").exists()


def test_a_person_answers_again_until_it_works(
    unset: dict[str, str], waha: ReplayServer, empty_database_url: str, tmp_path: Path
) -> None:
    url = libpq_url(empty_database_url)
    answers = [
        ("WAHA's address", waha.url),
        ("Session", "default"),
        ("API key", "wrong"),
        ("The API key is missing or wrong", None),
        ("WAHA's address", waha.url),
        ("Session", ""),
        ("API key", KEY),
        ("Postgres", url.replace("?", "x?", 1) if "?" in url else url + "x"),
        ("Create it, or correct VENTROS_DATABASE_URL", None),
        ("Postgres", url),
        ("Apply", "y"),
        ("Agent", "Ana"),
        ("groups", "n"),
        ("dry run", "y"),
        ("rows in WAHA's store", None),
        ("is ready; next:", None),
    ]
    controller, theirs = pty.openpty()
    terminal = Terminal(controller)
    environment = {n: v for n, v in os.environ.items() if n != "VENTROS_DATABASE_URL"}
    child = subprocess.Popen(
        [str(VENTROS), "init"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment | {"NO_COLOR": "1", "COLUMNS": "200"},
        start_new_session=True,
    )
    os.close(theirs)
    try:
        for text, answer in answers:
            terminal.expect(text, answer)
        assert child.wait(SECONDS) == 0
    finally:
        child.kill()
        os.close(controller)
    assert KEY not in terminal.shown
    assert dotenv_values(tmp_path / ".env") == {"WAHA_KEY": KEY, "VENTROS_DATABASE_URL": url}


class Terminal:
    """Our end of a terminal: waits for a text, then types."""

    def __init__(self, number: int) -> None:
        self.number, self.shown, self.passed = number, "", 0

    def expect(self, text: str, answer: str | None) -> None:
        until = time.monotonic() + SECONDS
        while (found := self.shown.find(text, self.passed)) < 0:
            assert time.monotonic() < until, f"no {text!r} in {self.shown[self.passed :]!r}"
            if select.select([self.number], [], [], 0.2)[0]:
                self.shown += os.read(self.number, 4096).decode()
        self.passed = found + len(text)
        if answer is not None:
            # Until the prompt is whole, and what is typed for a key is not echoed any more.
            time.sleep(0.2)
            os.write(self.number, f"{answer}\n".encode())
