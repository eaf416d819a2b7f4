"""Rows that could not be read: kept, seen, and brought in once their cause is mended."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from ventros_pipeline.archive import Row
from ventros_pipeline.crm import ledger, quarantine
from ventros_pipeline.crm.limits import DayRange
from ventros_pipeline.crm.quarantine import QuarantineError, redacted
from ventros_pipeline.crm.sealing import SealError
from ventros_pipeline.crm.undo import undo_run
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.report import report_of
from ventros_pipeline.settings import get_settings
from ventros_pipeline.waha import wire
from ventros_pipeline_tests.import_.world import World, at, message, write_account

Serve = Callable[[Path], ReplayServer]
ANA = "5511980000001@s.whatsapp.net"


@pytest.fixture
def held(world: World, replay: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Three messages of a day, one of which this version cannot read."""
    rows = [(ANA, message(ANA, f"3EB0000{n}", at("2026-06-02 10:00") + n)) for n in range(3)]
    replay(write_account(tmp_path / "account", rows))
    parse = wire._parse
    with monkeypatch.context() as patch:
        patch.setattr(wire, "_parse", lambda row: "too_deep" if b"3EB00001" in row else parse(row))
        figures = world.import_days()
        assert (figures["inserted"], figures["quarantined"]) == (2, 1)
    return world


def test_a_row_waits_with_its_reason_and_comes_in_with_the_next_load(held: World) -> None:
    [heap] = quarantine.heaps(held.engine, held.channel)
    assert (heap.reason, heap.day, heap.rows) == ("too_deep", date(2026, 6, 2), 1)
    assert quarantine.waiting_days(held.engine, held.channel) == {date(2026, 6, 2): 1}
    [letter] = quarantine.letters(held.engine, held.channel)
    assert "3EB0" not in letter.id

    importer = held.importer()
    [loaded] = importer.load_days([date(2026, 6, 2)], partial=True)

    assert (loaded.inserted, loaded.unchanged, loaded.quarantined) == (1, 2, 0)
    assert quarantine.heaps(held.engine, held.channel) == []
    [after] = quarantine.letters(held.engine, held.channel, resolved=True)
    assert (after.id, after.became) == (letter.id, "inserted")
    assert after.resolved_at is not None
    assert quarantine.letter(held.engine, held.channel, after.id).payload == ""
    report = report_of(held.engine, held.channel)
    assert (report.closes, report.overview["quarantine"]) == (True, 0)
    assert report.balance["quarantined"] == 0
    held.assert_proved()


def test_a_row_that_cannot_be_read_any_more_comes_back(
    held: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = date(2026, 6, 2)
    list(held.importer().load_days([day], partial=True))
    parse = wire._parse
    monkeypatch.setattr(
        wire, "_parse", lambda row: "not_json" if b"3EB00001" in row else parse(row)
    )
    list(held.importer().load_days([day], partial=True, force=True))
    [letter] = quarantine.letters(held.engine, held.channel)
    assert (letter.reason, letter.times_seen, letter.became) == ("not_json", 2, None)
    assert "3EB00001" in quarantine.letter(held.engine, held.channel, letter.id).payload


def test_a_row_that_an_undone_run_let_out_waits_again(held: World) -> None:
    day = date(2026, 6, 2)
    before = quarantine.letters(held.engine, held.channel)
    for _ in range(2):
        importer = held.importer()
        ledger.start_run(held.engine, held.channel, importer.run_id, day, day)
        [loaded] = importer.load_days([day])
        ledger.end_run(held.engine, held.channel, importer.run_id)
        assert loaded.inserted == 1
        assert quarantine.waiting_days(held.engine, held.channel) == {}
        assert undo_run(held.engine, importer.run_id).removed["messages"] == 1
        assert quarantine.letters(held.engine, held.channel) == before


def test_a_payload_is_sealed_at_rest_and_open_to_whoever_has_the_key(
    held: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = base64.b64encode(bytes(range(32))).decode()
    parse = wire._parse
    with monkeypatch.context() as patch:
        patch.setenv("VENTROS_QUARANTINE_KEY", key)
        patch.setattr(wire, "_parse", lambda row: "no_id" if b"3EB00001" in row else parse(row))
        get_settings.cache_clear()
        list(held.importer().load_days([date(2026, 6, 2)], force=True))
        kept = held.value("SELECT payload FROM history_sync.quarantine")
        assert "3EB00001" not in kept
        [letter] = quarantine.letters(held.engine, held.channel)
        shown = quarantine.letter(held.engine, held.channel, letter.id)
        assert '"3EB00001"' in shown.payload
    get_settings.cache_clear()
    with pytest.raises(SealError, match="VENTROS_QUARANTINE_KEY is not set"):
        quarantine.letter(held.engine, held.channel, letter.id)


def test_a_row_of_which_one_version_can_be_read_is_a_message(held: World) -> None:
    day = date(2026, 6, 2)
    name = str(held.archive.read(held.channel.key, [day])["row_key"][0])
    cut_off = [Row(name, b'{"id": "' + name.encode())]
    held.archive.write(held.channel.key, day, cut_off, read_at=held.now + timedelta(hours=1))
    [loaded] = held.importer().load_days([day])
    assert (loaded.seen, loaded.inserted, loaded.quarantined) == (3, 1, 0)
    assert report_of(held.engine, held.channel).closes


def test_days_that_lie_near_are_loaded_in_one_run() -> None:
    day = date(2026, 6, 1)
    archived = [day + timedelta(days=n) for n in range(60) if n != 40]
    wanted = [day, day + timedelta(days=3), *(day + timedelta(days=n) for n in (39, 41, 70))]
    assert quarantine.spans(wanted, archived, 31) == [
        DayRange(date(2026, 7, 12), date(2026, 7, 12)),
        DayRange(date(2026, 7, 10), date(2026, 7, 10)),
        DayRange(day, date(2026, 6, 4)),
    ]


def test_a_row_is_shown_without_what_it_says(held: World) -> None:
    row = {
        "id": "false_5511980000001@c.us_3EB0",
        "body": "meu segredo",
        "timestamp": 1780000000,
        "5511980000001@c.us": [True, None, "x"],
    }
    shown = redacted(json.dumps(row))
    assert "segredo" not in shown
    assert "5511980000001" not in shown
    assert "1780000000" not in shown
    assert json.loads(shown)["body"] == "<text, 11 characters>"
    assert redacted("{meu segredo") == "<no JSON, 12 characters>"
    with pytest.raises(QuarantineError, match="--rows"):
        quarantine.letter(held.engine, held.channel, "nothing")
