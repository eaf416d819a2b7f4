"""The report of account A: its figures are the database's, and it gives nobody away."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from ventros_pipeline.report import pictures, report_of
from ventros_pipeline.report.drawing import Drawing
from ventros_pipeline.report.figures import Report
from ventros_pipeline.report.markdown import markdown_of
from ventros_pipeline.report.page import page_of
from ventros_pipeline.report.verdict import verdict_of
from ventros_pipeline.report.words import LANGUAGES, Words
from ventros_pipeline_tests.import_.conftest import START_A
from ventros_pipeline_tests.import_.world import World

TEXT = "{http://www.w3.org/2000/svg}text"


@pytest.fixture(scope="module")
def report(imported_a: World) -> Report:
    return report_of(imported_a.engine, imported_a.channel, start=START_A, now=imported_a.now)


def counted(world: World, statement: str) -> dict[str, int]:
    return {str(row["value"]): row["n"] for row in world.rows(statement)}


def texts(drawing: Drawing) -> str:
    root = ET.fromstring(drawing.inline())  # noqa: S314 -- our own
    return " ".join(text.text or "" for text in root.iter(TEXT))


def test_every_count_is_the_databases(imported_a: World, report: Report) -> None:
    of = "SELECT {} AS value, count(*) AS n FROM messages WHERE {} GROUP BY 1"
    assert report.breakdown["kind"] == counted(imported_a, of.format("content_type", "true"))
    assert report.breakdown["status"] == counted(imported_a, of.format("status", "from_me"))
    incoming = imported_a.value("SELECT count(*) FROM messages WHERE NOT from_me")
    assert report.breakdown["direction"] == {"incoming": incoming, "outgoing": 8370 - incoming}
    assert sum(report.sessions.values()) == report.overview["sessions"]
    sizes = imported_a.rows("SELECT count(*) AS n FROM messages GROUP BY session_id")
    assert report.sessions["1"] == sum(row["n"] == 1 for row in sizes)
    assert report.sessions["2-5"] == sum(2 <= row["n"] <= 5 for row in sizes)


def test_every_day_has_its_messages(
    imported_a: World, report: Report, expected_a: dict[str, Any]
) -> None:
    found = {each.day.isoformat(): each.messages for each in report.days if each.messages}
    days = "SELECT (timestamp AT TIME ZONE 'UTC')::date AS value, count(*) AS n FROM messages"
    assert found == counted(imported_a, f"{days} GROUP BY 1")
    rows = {each.day.isoformat(): each.rows for each in report.days if each.rows}
    assert rows == expected_a["by_utc_day"]


def test_people_are_told_by_what_says_who_they_are(imported_a: World, report: Report) -> None:
    known = imported_a.rows(
        "SELECT bool_or(address LIKE '%@lid') AS lid, bool_or(address LIKE '%@c.us') AS number "
        "FROM history_sync.identities JOIN history_sync.people USING (contact_id) "
        "WHERE NOT is_group AND contact_id IN (SELECT contact_id FROM messages UNION SELECT "
        "i.contact_id FROM history_sync.directory JOIN history_sync.identities AS i USING (address)"
        " WHERE has_chat) GROUP BY contact_id"
    )
    assert sum(report.people.values()) == len(known)
    assert report.people["number_only"] == sum(not row["lid"] for row in known)
    assert report.people["lid_only"] == sum(not row["number"] for row in known)
    assert report.people["lids"] > 0


def test_account_a_is_complete_and_still_settling(report: Report) -> None:
    verdict = verdict_of(report)
    assert verdict.state == "settling"
    assert [reason.name for reason in verdict.reasons] == ["settling"]
    assert verdict.figures["messages"] == 8370
    assert report.missing == []


def test_the_pictures_say_what_the_figures_are(report: Report) -> None:
    assert "8,370  (93.2%)" in texts(pictures.balance(report, Words()))
    assert "615  (6.8%)" in texts(pictures.balance(report, Words()))
    for name, count in report.breakdown["kind"].items():
        assert f"{Words().name('kind', name)} {count:,}  (" in texts(
            pictures.kinds(report, Words())
        )
    halves = pictures.calendar(report, Words())
    shown = [re.search(r"([\d,]+) messages", texts(half)) for half in halves]
    assert len(halves) == 3
    assert sum(int(found[1].replace(",", "")) for found in shown if found) == 8370


def test_neither_page_nor_markdown_gives_anybody_away(imported_a: World, report: Report) -> None:
    shown = [page_of(report, Words(language)) for language in LANGUAGES]
    shown.append(re.sub(r"\(data:[^)]*\)", "", markdown_of(report, Words())))
    contacts = imported_a.rows("SELECT name, phone FROM contacts")
    addresses = imported_a.rows("SELECT address FROM history_sync.identities")
    texts_ = imported_a.rows("SELECT text FROM messages WHERE length(text) > 20")
    private = {row["phone"] for row in contacts} | {row["name"] for row in contacts}
    private |= {row["address"].partition("@")[0] for row in addresses}
    private |= {row["text"] for row in texts_}
    known = [each for each in private if each and len(each) > 4]
    assert len(known) > 500
    for page in shown:
        assert not [each for each in known if each in page]


def test_a_channel_that_was_never_imported_says_how_to_begin(world: World) -> None:
    empty = report_of(world.engine, world.channel, start=world.start, now=world.now)
    verdict = verdict_of(empty)
    assert verdict.state == "incomplete"
    assert verdict.next_command == f"ventros import {world.channel.key}"
    assert "Nothing of this channel was imported yet." in page_of(empty, Words())
