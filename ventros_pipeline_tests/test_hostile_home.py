"""Names and files that mean harm stay what they are: names within a folder, files of their day."""

from __future__ import annotations

import io
import logging
import os
import re
import stat
import subprocess
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ventros_pipeline import logs, serving
from ventros_pipeline.archive import SCHEMA, Archive, ArchiveError, Row
from ventros_pipeline.crm.channels import channel_key
from ventros_pipeline.settings import Settings

DAY = date(2026, 6, 2)
NOW = datetime(2026, 6, 3, tzinfo=UTC)
NAMES = (
    "../../etc",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a/b",
    "a\\b",
    "a|b",
    "a...b",
    "\0",
    "<b>",
    "`x`",
)


@given(name=st.text(max_size=60))
@example(name="../../../../etc/passwd")
@example(name="x\n2026-06-01 ERROR forged")
def test_no_session_name_leads_out_of_the_archive_or_out_of_its_line(name: str) -> None:
    key = channel_key(name, UUID(int=7))
    folder = Path("/home/ventros/archive")
    path = Path(os.path.normpath(folder / Archive(folder).name(key, DAY)))
    assert path.parent.parent.parent == folder
    # Where media files are; no key is so short.
    assert path.parent.parent.name != "media"
    assert re.fullmatch(r"[A-Za-z0-9_-]+", key)


@pytest.mark.parametrize("name", NAMES)
def test_two_names_that_are_cleaned_alike_are_two_folders(name: str) -> None:
    assert channel_key(name, UUID(int=7 << 96)) != channel_key(name, UUID(int=8 << 96))


def test_what_people_wrote_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    Archive(tmp_path).write("default-0", DAY, [Row("a", b"{}")], read_at=NOW)
    [file] = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_link_in_the_place_of_a_day_is_replaced_and_not_followed(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    path = tmp_path / "archive" / archive.name("default-0", DAY)
    path.parent.mkdir(parents=True)
    treasure = tmp_path / "treasure.parquet"
    before = pl.DataFrame([("b", NOW, b"old", None, None, None, None)], SCHEMA, orient="row")
    before.write_parquet(treasure)
    kept = treasure.read_bytes()
    path.symlink_to(treasure)
    archive.write("default-0", DAY, [Row("a", b"{}")], read_at=NOW)
    assert treasure.read_bytes() == kept
    assert not path.is_symlink()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PAR1",
        b"PAR1" + b"\xff" * 64 + b"PAR1",
        b"not parquet at all",
        "other columns",
        "other types",
    ],
)
def test_a_file_of_the_archive_that_somebody_has_put_there_is_named_and_nothing_is_loaded(
    content: bytes | str, tmp_path: Path
) -> None:
    archive = Archive(tmp_path / "archive")
    path = tmp_path / "archive" / archive.name("default-0", DAY)
    path.parent.mkdir(parents=True)
    if content == "other columns":
        pl.DataFrame({"payload": [b"{}"], "evil": [1]}).write_parquet(path)
    elif content == "other types":
        pl.DataFrame({"row_key": [1], "read_at": ["x"], "payload": ["{}"]}).write_parquet(path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ArchiveError, match=r"2026-06-02.*damaged"):
        archive.read("default-0", [DAY])


def test_no_line_break_from_outside_begins_a_line_of_the_log() -> None:
    stream = io.StringIO()
    handler = logs.configure("human", "INFO", stream)
    try:
        logging.getLogger("uvicorn.error").warning("GET /\n2026 ERROR forged\r\u2028\x1b[31m")
    finally:
        logging.getLogger().removeHandler(handler)
    assert stream.getvalue().count("\n") == 1
    assert not re.search(r"[\r\u2028\x1b]", stream.getvalue())


def test_the_dagster_ui_listens_on_loopback_and_no_setting_changes_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[list[str]] = []

    class Ended:
        pid, returncode = 0, 0

        def __init__(self, command: list[str], **_: object) -> None:
            begun.append(command)

        def wait(self, timeout: float | None = None) -> int:
            return 0

        def poll(self) -> int:
            return 0

    monkeypatch.setattr(subprocess, "Popen", Ended)
    monkeypatch.setattr(serving.os, "killpg", lambda *_: None)
    monkeypatch.setattr(serving.signal, "signal", lambda *_: None)
    monkeypatch.setenv("VENTROS_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    serving.serve_ui(Settings(ui_port=1 + 40_000, _env_file=None))  # type: ignore[call-arg]
    [command] = begun
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert not [name for name in Settings.model_fields if "host" in name and "ui" in name]
