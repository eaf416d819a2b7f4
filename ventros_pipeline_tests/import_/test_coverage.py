"""What is known of a day, from check to check: each transition by what makes it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ventros_pipeline.crm import coverage, ledger
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.import_.world import (
    KEY,
    NOW,
    START,
    World,
    at,
    days_between,
    message,
    write_account,
)

ANA = "5511980000001@s.whatsapp.net"
DAY, EMPTY, TODAY = date(2026, 6, 2), date(2026, 6, 3), NOW.date()
MINUTE = timedelta(minutes=1)
OVERLAP = timedelta(hours=1)


@pytest.fixture
def server(world: World, tmp_path: Path) -> Iterator[ReplayServer]:
    """An account with one message of one day, and the test's channel at it."""
    folder = write_account(tmp_path / "account", [(ANA, text("A"))])
    with ReplayServer(folder, api_key=KEY) as server:
        world.change_channel(
            f"config = config || jsonb_build_object('base_url', '{server.url}'::text)"
        )
        yield server


def text(stanza: str, moment: str = "2026-06-02 10:00") -> dict[str, Any]:
    return message(ANA, stanza, at(moment))


def read(world: World, now: datetime, day: date = DAY) -> None:
    """Read a day whole and load it."""
    world.import_days([day], now=now)


def note_quiet(world: World, now: datetime, day: date = DAY) -> None:
    coverage.note_quiet(world.engine, world.channel, [day], now)


def known(world: World, day: date = DAY) -> dict[str, Any]:
    [row] = [row for row in coverage.list_days(world.engine, world.channel) if row["day"] == day]
    return row


def state(world: World, day: date = DAY) -> str:
    return str(known(world, day)["state"])


def due(world: World, now: datetime, **how: Any) -> list[tuple[date, str]]:
    found = coverage.due_days(world.engine, now, start=START, overlap=OVERLAP, **how)
    return [(day.day, day.why) for day in found.get(world.channel.id, [])]


# -- transitions ---------------------------------------------------------------------------------


def test_a_first_whole_read_of_a_past_day_settles_nothing_yet(
    world: World, server: ReplayServer
) -> None:
    read(world, NOW)
    row = known(world)
    assert (row["state"], row["rows"], row["quiet_checks"]) == ("settling", 1, 0)
    assert row["read_at"] == row["checked_at"] == NOW
    assert row["check_at"] == NOW + 10 * MINUTE


def test_a_second_read_that_finds_nothing_settles_a_day(world: World, server: ReplayServer) -> None:
    read(world, NOW)
    read(world, NOW + MINUTE)
    assert (state(world), known(world)["quiet_checks"]) == ("settled", 1)


def test_an_empty_day_settles_like_any_other(world: World, server: ReplayServer) -> None:
    read(world, NOW, EMPTY)
    assert state(world, EMPTY) == "settling"
    read(world, NOW + MINUTE, EMPTY)
    assert state(world, EMPTY) == "settled"


def test_a_second_read_that_finds_a_row_keeps_a_day_settling(
    world: World, server: ReplayServer
) -> None:
    read(world, NOW)
    server.account.put_message(ANA, text("B"))
    read(world, NOW + MINUTE)
    row = known(world)
    assert (row["state"], row["rows"], row["quiet_checks"]) == ("settling", 2, 0)


def test_a_late_row_opens_a_settled_day_again(world: World, server: ReplayServer) -> None:
    read(world, NOW)
    read(world, NOW + MINUTE)
    server.account.put_message(ANA, text("B"))
    read(world, NOW + 2 * MINUTE)
    assert state(world) == "settling"
    assert known(world)["check_at"] == NOW + 12 * MINUTE


def test_a_late_row_of_a_reading_of_some_chats_opens_a_settled_day_and_makes_it_due(
    world: World, server: ReplayServer
) -> None:
    read(world, NOW)
    read(world, NOW + MINUTE)
    server.account.put_message(ANA, text("B"))
    importer = world.importer(now=NOW + 60 * MINUTE)
    list(importer.read_days([DAY], chats=["5511980000001@c.us"]))
    list(importer.load_days([DAY], partial=True))
    row = known(world)
    assert (row["state"], row["rows"], row["read_at"]) == ("settling", 2, NOW + MINUTE)
    assert due(world, NOW + 60 * MINUTE) == [(DAY, "settle")]


def test_loading_the_archive_again_settles_nothing(world: World, server: ReplayServer) -> None:
    read(world, NOW)
    before = known(world)
    for minute in range(1, 4):
        list(world.importer(now=NOW + minute * MINUTE).load_days([DAY]))
    assert known(world) == before


def test_reading_without_loading_leaves_a_day_reading_and_not_due(
    world: World, server: ReplayServer
) -> None:
    list(world.importer().read_days([DAY]))
    row = known(world)
    assert (row["state"], row["rows"], row["read_at"], row["check_at"]) == ("reading", 0, NOW, None)
    assert due(world, NOW + timedelta(days=30)) == []


def test_some_chats_alone_leave_a_day_unknown_and_never_due(
    world: World, server: ReplayServer
) -> None:
    importer = world.importer()
    list(importer.read_days([DAY], chats=["5511980000001@c.us"]))
    list(importer.load_days([DAY], partial=True))
    assert (state(world), known(world)["rows"]) == ("unknown", 1)
    assert due(world, NOW + timedelta(days=30), reread_days=365) == []
    read(world, NOW + MINUTE)
    assert state(world) == "settling"


def test_today_is_reading_however_often_it_is_read(world: World, server: ReplayServer) -> None:
    for minute in range(3):
        read(world, NOW + minute * MINUTE, TODAY)
    row = known(world, TODAY)
    assert (row["state"], row["quiet_checks"]) == ("reading", 0)
    assert row["check_at"] == datetime(2026, 7, 1, tzinfo=UTC)


def test_today_is_read_whole_when_it_is_over_and_settles_after_that(
    world: World, server: ReplayServer
) -> None:
    read(world, NOW, TODAY)
    tomorrow = datetime(2026, 7, 1, 0, 5, tzinfo=UTC)
    assert due(world, tomorrow - 10 * MINUTE) == []
    assert due(world, tomorrow) == [(TODAY, "ended")]
    read(world, tomorrow, TODAY)
    assert state(world, TODAY) == "settling"
    note_quiet(world, tomorrow + 10 * MINUTE, TODAY)
    assert state(world, TODAY) == "settled"


def test_a_day_is_exhausted_after_three_quiet_checks_and_a_quiet_week(
    world: World, server: ReplayServer
) -> None:
    read(world, NOW)
    for day in (1, 2, 3, 6):
        note_quiet(world, NOW + timedelta(days=day))
        assert state(world) == "settled"
    note_quiet(world, NOW + timedelta(days=7))
    assert (state(world), known(world)["check_at"]) == ("exhausted", None)


def test_a_quiet_week_alone_exhausts_nothing(world: World, server: ReplayServer) -> None:
    read(world, NOW)
    for hours in range(2):
        note_quiet(world, NOW + timedelta(days=9, hours=hours))
        assert state(world) == "settled"
    note_quiet(world, NOW + timedelta(days=9, hours=2))
    assert state(world) == "exhausted"


def test_a_late_row_opens_an_exhausted_day_again(world: World, server: ReplayServer) -> None:
    read(world, NOW)
    for day in (7, 8, 9):
        note_quiet(world, NOW + timedelta(days=day))
    assert state(world) == "exhausted"
    server.account.put_message(ANA, text("B"))
    read(world, NOW + timedelta(days=10))
    assert state(world) == "settling"


def test_absence_proves_something_of_settled_and_exhausted_days(
    world: World, server: ReplayServer
) -> None:
    read(world, NOW)
    assert ledger.settled_days(world.engine, world.channel, [DAY]) == set()
    note_quiet(world, NOW + MINUTE)
    assert ledger.settled_days(world.engine, world.channel, [DAY]) == {DAY}
    for day in (7, 8, 9):
        note_quiet(world, NOW + timedelta(days=day))
    assert state(world) == "exhausted"
    assert ledger.settled_days(world.engine, world.channel, [DAY]) == {DAY}


# -- what is due ---------------------------------------------------------------------------------


def test_checks_come_after_ten_minutes_then_ever_later_up_to_a_day(
    world: World, server: ReplayServer
) -> None:
    read(world, NOW)
    now, pauses = NOW, []
    for _ in range(10):
        pause = known(world)["check_at"] - now
        pauses.append(pause // MINUTE)
        assert due(world, now + pause - MINUTE) == []
        now += pause
        assert due(world, now) == [(DAY, "settle")]
        note_quiet(world, now)
    assert pauses == [10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440]


@pytest.mark.parametrize("waha", ["WEBJS", "WPP"])
def test_where_a_check_walks_all_chats_it_begins_with_an_hour(
    world: World, server: ReplayServer, waha: str
) -> None:
    read(world, NOW)
    world.execute("UPDATE history_sync.channel_state SET engine = :waha", waha=waha)
    note_quiet(world, NOW)
    assert known(world)["check_at"] == NOW + 120 * MINUTE


def test_days_of_own_messages_on_their_way_are_due_hourly_for_three_days(
    world: World, server: ReplayServer
) -> None:
    for day, ack in ((26, 2), (28, 2), (29, 3)):
        moment = at(f"2026-06-{day} 10:00")
        row = message(ANA, f"OUT{day}", moment, from_me=True, ack=ack)
        server.account.put_message(ANA, row)
    world.import_days(days_between(date(2026, 6, 26), TODAY))
    assert due(world, NOW + timedelta(minutes=5)) == []
    assert (date(2026, 6, 28), "acks") in due(world, NOW + OVERLAP)
    found = {day for day, why in due(world, NOW + OVERLAP) if why == "acks"}
    assert found == {date(2026, 6, 28)}  # The 26th is too old, the 29th was read.


def test_the_last_days_are_read_again_when_asked_and_not_twice_a_day(
    world: World, server: ReplayServer
) -> None:
    world.import_days(days_between(START, TODAY))
    later = NOW + timedelta(hours=20)
    assert [d for d, why in due(world, NOW + OVERLAP, reread_days=3) if why == "reread"] == []
    found = [d for d, why in due(world, later, reread_days=3) if why == "reread"]
    assert found == days_between(date(2026, 6, 29), TODAY)  # `later` is the first of July.


def test_days_beyond_the_channels_limit_are_never_due(world: World, server: ReplayServer) -> None:
    read(world, NOW)
    world.change_channel("history_import_max_days = 7")
    assert due(world, NOW + OVERLAP) == []


def hint(world: World, event: str, stanza: str | None, moment: str | None) -> None:
    world.execute(
        "INSERT INTO history_sync.hints (channel_id, event_id, event, stanza_id, message_at) "
        "VALUES (:channel, :id, :event, :stanza, CAST(:moment AS timestamptz))",
        channel=world.channel.id,
        id=f"evt_{stanza}",
        event=event,
        stanza=stanza,
        moment=moment,
    )


def test_a_hint_of_a_known_message_makes_its_day_due_until_it_is_done(
    world: World, server: ReplayServer
) -> None:
    server.account.put_message(ANA, text("NEW", "2026-06-30 11:00"))
    world.import_days(days_between(START, TODAY))
    hint(world, "message.edited", "A", None)
    assert (DAY, "hint") in due(world, NOW)
    world.execute("UPDATE history_sync.hints SET done_at = now()")
    assert due(world, NOW) == []


def test_a_hint_of_an_unknown_message_makes_the_day_due_that_it_tells(
    world: World, server: ReplayServer
) -> None:
    server.account.put_message(ANA, text("NEW", "2026-06-30 11:00"))
    world.import_days(days_between(START, TODAY))
    hint(world, "message.any", "X", "2026-06-20 10:00+00")
    assert due(world, NOW) == [(date(2026, 6, 20), "hint")]


@pytest.mark.parametrize(
    ("event", "stanza", "moment"),
    [
        ("message.ack", "NEW", None),
        ("message.any", "X", "2026-06-30 11:30+00"),
        ("message.any", "X", None),
        ("session.status", None, None),
    ],
)
def test_a_hint_that_the_reading_of_what_is_new_answers_makes_no_day_due(
    world: World, server: ReplayServer, event: str, stanza: str | None, moment: str | None
) -> None:
    server.account.put_message(ANA, text("NEW", "2026-06-30 11:00"))
    world.import_days(days_between(START, TODAY))
    hint(world, event, stanza, moment)
    assert due(world, NOW) == []
