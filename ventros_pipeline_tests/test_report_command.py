"""`ventros report` as scripts and people call it, and the repair that a failed check names."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ventros_pipeline_tests.test_cli import Ventros, channel, settings, ventros, waha

__all__ = ["channel", "settings", "ventros", "waha"]


@pytest.fixture
def imported(ventros: Ventros, channel: str) -> str:
    assert ventros("import", channel, "--since", "2026-06-01", "--until", "2026-06-04").code == 0
    return channel


def test_the_report_is_told_shown_and_written(
    ventros: Ventros, imported: str, tmp_path: Path
) -> None:
    file = tmp_path / "new" / "report.html"

    said = ventros("report", imported, "--html", str(file), "--lang", "pt-BR", "--json")

    assert said.code == 0
    verdict = said.json["verdict"]
    # The days since June 2026 were never read.
    assert verdict["state"] == "incomplete"
    assert [reason["name"] for reason in verdict["reasons"]] == ["missing", "settling"]
    assert verdict["says"].startswith("Incompleto: o CRM tem 2 mensagens")
    assert said.json["html"] == str(file)
    assert verdict["says"] in file.read_text(encoding="utf-8")

    shown = ventros("report", imported)
    assert shown.code == 0
    assert shown.out.startswith("Not complete: the CRM holds 2 messages")
    assert verdict["next_command"] in shown.out
    assert "Not complete" in ventros("status", imported).out


def test_a_language_that_is_not_there_is_a_misuse(ventros: Ventros, imported: str) -> None:
    assert ventros("report", imported, "--lang", "fr").code == 2


def test_a_page_that_cannot_be_written_is_told(
    ventros: Ventros, imported: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    said = ventros("report", imported, "--html", str(tmp_path / "file" / "page.html"))
    assert said.code == 1
    assert "the page cannot be written" in said.err


def test_the_repair_that_a_failed_check_names_mends_it(
    ventros: Ventros, imported: str, engine: Engine
) -> None:
    """A load without force looks at nothing that WAHA has not changed."""
    days = ("import", imported, "--since", "2026-06-02", "--until", "2026-06-03")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE messages SET timestamp = timestamp + interval '1 hour' "
            "WHERE channel_message_id LIKE '%%3EB0000A'"
        )
    broken = ventros(*days)
    assert broken.code == 1
    assert "check original_times_kept: 1 times" in broken.err

    _, _, repair = " ".join(broken.err.split()).partition("Repair: `ventros ")
    mended = ventros(*shlex.split(repair.partition("`")[0]))

    assert mended.code == 0
    assert ventros(*days).code == 0
