"""What goes wrong is said so that a person can act, and one bad row never costs a good one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ventros_pipeline.crm.channels import ChannelError
from ventros_pipeline.replay.control import Fault, Request
from ventros_pipeline.replay.generate import generate, read_truth_rows
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.report import report_of
from ventros_pipeline.waha.errors import (
    WahaConfigurationError,
    WahaError,
    WahaNotReadyError,
    WahaProtocolError,
    WahaTransientError,
)
from ventros_pipeline_tests.import_.world import (
    KEY,
    KEY_VARIABLE,
    World,
    at,
    days_between,
    message,
    write_account,
)

ANA = "5511980000001@s.whatsapp.net"
Serve = Callable[[Path], ReplayServer]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    rows = [(ANA, message(ANA, f"3EB0{n:04d}", at(f"2026-06-0{n + 1} 10:00"))) for n in range(5)]
    return write_account(tmp_path / "small", rows)


def refused(world: World, error: type[WahaError]) -> str:
    """Import, expect the error and nothing written, and return what it says."""
    with pytest.raises(error) as caught:
        world.import_days()
    said = str(caught.value)
    assert KEY not in said
    assert "5511980000001" not in said
    assert "'default'" in said
    assert world.value("SELECT count(*) FROM messages") == 0
    return said


# -- a server that cannot be read ----------------------------------------------------------------


def test_a_server_that_is_down_is_worth_another_try(
    world: World, replay: Serve, small: Path
) -> None:
    replay(small).stop()
    assert "Check that WAHA runs" in refused(world, WahaTransientError)


def test_a_wrong_key_is_for_a_person_to_mend(world: World, replay: Serve, small: Path) -> None:
    replay(small).control.api_key = "another-key"
    assert "API key" in refused(world, WahaConfigurationError)


def test_a_key_whose_variable_is_not_set_is_named(
    world: World, replay: Serve, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay(small)
    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(ChannelError, match=KEY_VARIABLE):
        world.import_days()


def test_an_unknown_session_is_for_a_person_to_mend(
    world: World, replay: Serve, small: Path
) -> None:
    replay(small)
    world.change_channel('config = config || \'{"session_id": "elsewhere"}\'')
    with pytest.raises(WahaConfigurationError, match=r"session does not exist|session's name"):
        world.import_days()


@pytest.mark.parametrize("status", ["SCAN_QR_CODE", "STARTING", "STOPPED", "FAILED"])
def test_a_session_that_is_not_working_is_not_ready(
    status: str, world: World, replay: Serve, small: Path
) -> None:
    server = replay(small)
    server.control.status = status
    assert status in refused(world, WahaNotReadyError)
    server.control.status = "WORKING"
    assert world.import_days()["inserted"] == 5


def test_a_session_without_a_store_says_how_to_switch_it_on(
    world: World, replay: Serve, small: Path
) -> None:
    replay(small).control.store_enabled = False
    said = refused(world, WahaConfigurationError)
    assert "config.noweb.store.enabled" in said
    assert "pair" in said


@pytest.mark.parametrize("template", ["/sessions/", "/chats", "/messages", "/lids", "/contacts"])
def test_html_instead_of_json_is_not_wahas_answer(
    template: str, world: World, replay: Serve, small: Path
) -> None:
    def fault(request: Request) -> Fault | None:
        return Fault.html() if template in request.template else None

    replay(small).control.fault = fault
    assert "base URL" in refused(world, WahaProtocolError)


def test_a_failure_in_the_middle_keeps_the_days_already_read(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    rows = [
        (ANA, message(ANA, f"3EB0{day:02d}{n:04d}", at(f"2026-06-{day:02d} 10:00") + n))
        for day in (1, 2, 3)
        for n in range(1200)
    ]
    server = replay(write_account(tmp_path / "account", rows))
    late = at("2026-06-03 00:00")

    def fault(request: Request) -> Fault | None:
        later = late < int(request.query.get("filter.timestamp.gte", 0)) < at("2026-07-01 00:00")
        return Fault.dropped() if later else None

    server.control.fault = fault
    with pytest.raises(WahaTransientError):
        world.import_days()
    assert world.archive.days(world.channel.key) == [date(2026, 6, 1), date(2026, 6, 2)]
    server.control.fault = None
    assert world.import_days()["inserted"] == 3600
    world.assert_proved()


# -- rows that cannot be trusted ------------------------------------------------------------------

UNTRUSTED = {
    "timestamp_zero": ("before_2009", datetime(1970, 1, 1, tzinfo=UTC)),
    "timestamp_null": ("missing", datetime(1970, 1, 1, tzinfo=UTC)),
    "timestamp_2100": ("future", datetime(2100, 1, 1, tzinfo=UTC)),
    "timestamp_milliseconds": ("milliseconds", datetime.fromtimestamp(1_770_000_000, UTC)),
    "timestamp_negative": ("before_2009", datetime.fromtimestamp(-5, UTC)),
}


def test_every_odd_row_of_an_account_is_imported_with_its_marks_and_every_other_one_too(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    folder = tmp_path / "nasty"
    until = datetime(2026, 6, 30, tzinfo=UTC)
    generate(
        folder,
        messages=500,
        chats=24,
        days=20,
        seed=3,
        until=int(until.timestamp()),
        nasty=True,
        bursts=0,
    )
    replay(folder)
    figures = world.import_days()
    truth = [r for r in read_truth_rows(folder) if not r.chat.endswith(("broadcast", "newsletter"))]
    assert figures["seen"] == 500
    assert figures["inserted"] == len(truth) == 500 - figures["filtered"]
    assert figures["quarantined"] == 0

    stored = {
        row["stanza_id"]: row
        for row in world.rows(
            "SELECT k.stanza_id, k.time_trusted, m.timestamp AS at, m.text, m.content_type, "
            "m.metadata FROM history_sync.message_keys AS k "
            "JOIN messages AS m ON m.id = k.message_id"
        )
    }
    odd = {row.nasty: stored[row.stanza_id] for row in truth if row.nasty}
    for label, (problem, moment) in UNTRUSTED.items():
        row = odd[label]
        assert (row["time_trusted"], row["at"]) == (False, moment)
        assert row["metadata"]["timestamp_problem"] == problem
        said = next(r.timestamp for r in truth if r.nasty == label)
        assert json.loads(row["metadata"]["timestamp_raw"]) == said
    assert odd["timestamp_string"]["at"] == datetime.fromtimestamp(1_770_000_000, UTC)
    assert odd["nul_character"]["text"] == "antesdepois"
    assert odd["lone_surrogate"]["text"] == "metade \ufffd de emoji"
    assert odd["long_body"]["text"] == "ação " * 11_667
    assert odd["no_data"]["text"] == "linha estranha"
    assert odd["unknown_key"]["content_type"] == "system"
    assert odd["unknown_key"]["metadata"]["kind"] == "unknown:hologramMessage"
    for row in truth:
        if row.nasty is None:
            found = stored[row.stanza_id]
            assert found["time_trusted"]
            assert found["at"] == datetime.fromtimestamp(row.timestamp, UTC)
    again = world.import_days(now=world.now + timedelta(minutes=1))
    assert (again["inserted"], again["updated"]) == (0, 0)
    assert report_of(world.engine, world.channel).closes
    world.assert_proved()


def test_untrusted_times_are_no_ones_first_or_last_message(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    times: list[Any] = [0, None, 4_102_444_800, at("2026-06-02 10:00"), 1_770_000_000_123]
    rows = [(ANA, message(ANA, f"3EB0{n:04d}", time)) for n, time in enumerate(times)]
    replay(write_account(tmp_path / "account", rows))
    assert world.import_days()["inserted"] == 5
    noon = datetime(2026, 6, 2, 10, tzinfo=UTC)
    [contact] = world.rows("SELECT first_interaction_at, last_interaction_at FROM contacts")
    assert contact == {"first_interaction_at": noon, "last_interaction_at": noon}
    assert world.value("SELECT last_message_at FROM chats") == noon
    assert world.value("SELECT watermark FROM history_sync.channel_state") == noon


DEEP = b'{"id":"false_5511980000001@c.us_DEEP","x":' + b"[" * 5000 + b"]" * 5000 + b"}"
# Of hashes, or Postgres would compress it until it fits.
LONG_ID = b"".join(sha256(bytes([n])).hexdigest().encode() for n in range(250)) * 4
BROKEN_ROWS = {
    "no object": (b"42", "not_an_object"),
    "a null": (b"null", "not_an_object"),
    "no id": (b'{"timestamp":null,"body":"sem id \\u0000"}', "no_id"),
    "an id that is no text": (b'{"id":{"a":1},"body":"x"}', "no_id"),
    "an id without a chat": (b'{"id":"3EB0FFFF","body":"x"}', "no_chat"),
    "a raw NUL in what is no message": (b'{"body":"a\x00b"}', "no_id"),
    "too deep": (DEEP, "too_deep"),
    "an id no index can hold": (
        b'{"id":"false_5511980000001@c.us_%s","body":"x"}' % LONG_ID,
        "id_too_long",
    ),
}


@pytest.mark.parametrize("name", BROKEN_ROWS)
def test_a_row_that_is_no_message_is_kept_with_its_reason_and_costs_no_other(
    name: str, world: World, replay: Serve, small: Path
) -> None:
    """Rows without a time match no filter, so they come with the requests that have none."""
    row, reason = BROKEN_ROWS[name]

    def fault(request: Request) -> Fault | None:
        unfiltered = not any(key.startswith("filter") for key in request.query)
        if "/messages" in request.template and unfiltered:
            return Fault(200, b"[%s]" % row, {"content-type": "application/json"})
        return None

    replay(small).control.fault = fault
    figures = world.import_days()
    assert (figures["seen"], figures["inserted"], figures["quarantined"]) == (6, 5, 1)
    [kept] = world.rows("SELECT * FROM history_sync.quarantine")
    assert (kept["reason"], kept["times_seen"], kept["day"]) == (reason, 1, world.start)
    # U+0000 goes before the archive: a name could hide behind it.
    assert len(kept["payload"]) >= len(row.replace(b"\x00", b""))
    again = world.import_days(now=world.now + timedelta(minutes=1))
    assert (again["inserted"], again["unchanged"], again["quarantined"]) == (0, 5, 1)
    assert world.value("SELECT times_seen FROM history_sync.quarantine") == 2
    report = report_of(world.engine, world.channel)
    assert report.closes
    assert report.reasons == {reason: 1}
    world.assert_proved()


@pytest.mark.parametrize("reset", [Fault.dropped(), Fault.truncated(), Fault.error(502)])
def test_one_bad_answer_is_asked_for_again(
    reset: Fault, world: World, replay: Serve, small: Path
) -> None:
    bad = iter([reset])
    replay(small).control.fault = lambda request: (
        next(bad, None) if "/messages" in request.template else None
    )
    importer = world.importer()
    importer.settings = importer.settings.model_copy(update={"request_attempts": 3})
    days = days_between(world.start, world.now.date())
    importer.read_directory()
    assert sum(day.read for day in importer.read_days(days)) == 5
    assert next(bad, None) is None
