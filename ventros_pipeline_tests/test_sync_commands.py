"""`ventros sync` and `ventros coverage` as scripts and people call them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.syncing import NEVER
from ventros_pipeline_tests.import_.world import KEY, at, message, write_account
from ventros_pipeline_tests.test_cli import ANA, ITS_DAYS, Ventros, channel, settings, ventros

__all__ = ["channel", "settings", "ventros"]


@pytest.fixture
def waha(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplayServer]:
    rows = [
        (ANA, message(ANA, "3EB0000A", at("2026-06-02 10:00"), "um")),
        (ANA, message(ANA, "3EB0000B", at("2026-06-03 10:00"), "dois", from_me=True, ack=3)),
    ]
    folder = write_account(tmp_path_factory.mktemp("account"), rows)
    with ReplayServer(folder, api_key=KEY) as server:
        server.control.wait_scale = 0
        yield server


@pytest.fixture
def imported(ventros: Ventros, channel: str) -> str:
    assert ventros("import", channel, *ITS_DAYS).code == 0
    return channel


def test_a_pass_brings_in_what_is_new_and_says_what_it_cost(
    ventros: Ventros, imported: str, waha: ReplayServer
) -> None:
    waha.account.put_message(ANA, message(ANA, "3EB0000C", at("2026-06-03 11:00"), "novo"))
    said = ventros("sync", imported, "--json")
    assert said.code == 0
    [line] = said.json["channels"]
    assert (line["channel"], line["inserted"], line["updated"]) == (imported, 1, 0)
    assert line["requests"] >= 3
    assert ventros("status", imported, "--json").json["messages"] == 3


def test_without_a_name_all_imported_channels_are_brought_up_to_date(
    ventros: Ventros, imported: str, waha: ReplayServer
) -> None:
    said = ventros("sync")
    assert said.code == 0
    assert imported in said.out
    assert ventros("sync", "--json").json["channels"][0]["inserted"] == 0


def test_a_channel_that_was_never_imported_is_left_alone_and_said_so(
    ventros: Ventros, channel: str, waha: ReplayServer
) -> None:
    waha.stats.reset()
    assert ventros("sync", "--json").json == {"channels": []}
    [line] = ventros("sync", channel, "--json").json["channels"]
    assert (line["inserted"], line["note"]) == (0, NEVER)
    assert waha.stats.total == 0


def test_a_session_that_is_not_ready_is_one_sentence(
    ventros: Ventros, imported: str, waha: ReplayServer
) -> None:
    waha.control.status = "SCAN_QR_CODE"
    said = ventros("sync", imported)
    assert said.code == 1
    assert imported in said.sentence
    assert "SCAN_QR_CODE" in said.sentence


def test_coverage_tells_the_days_of_each_state_and_each_day_when_asked(
    ventros: Ventros, imported: str
) -> None:
    said = ventros("coverage", imported, "--json")
    assert said.json == {
        "channel": imported,
        "states": [
            {
                "state": "settling",
                "days": 4,
                "from_day": "2026-06-01",
                "to_day": "2026-06-04",
                "rows": 2,
            }
        ],
        "quarantined": {},
    }
    assert "settling" in ventros("coverage", imported).out

    days = ventros("coverage", imported, "--days", "--json").json["days"]
    assert [(day["day"], day["state"], day["rows"]) for day in days] == [
        ("2026-06-01", "settling", 0),
        ("2026-06-02", "settling", 1),
        ("2026-06-03", "settling", 1),
        ("2026-06-04", "settling", 0),
    ]
    assert all(day["read_at"] == day["checked_at"] for day in days)
    assert "2026-06-03" in ventros("coverage", imported, "--days").out


def test_a_channel_that_is_not_there_is_named(ventros: Ventros, channel: str) -> None:
    for command in ("sync", "coverage"):
        said = ventros(command, "nobody")
        assert said.code == 1
        assert "nobody" in said.sentence
