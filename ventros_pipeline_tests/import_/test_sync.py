"""A pass: what happened in WAHA since the last one is in the CRM after it, for few requests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ventros_pipeline.crm import coverage, ledger, sync
from ventros_pipeline.crm.lifecycle import taking_part
from ventros_pipeline.crm.limits import Wish
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.syncing import NEVER, Synced
from ventros_pipeline.syncing import sync as sync_channel
from ventros_pipeline.waha.errors import WahaError
from ventros_pipeline_tests.import_.world import (
    KEY,
    NOW,
    START,
    World,
    at,
    days_between,
    edited,
    message,
    write_account,
)

ANA, BIA = "5511980000001@s.whatsapp.net", "5511980000002@s.whatsapp.net"
MESSAGES = "GET /api/{session}/chats/{chat_id}/messages"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TODAY = NOW.date()
Serve = Callable[..., ReplayServer]


@pytest.fixture
def serve(world: World, tmp_path: Path) -> Iterator[Serve]:
    """Serves messages by an engine, and points the test's channel at it."""
    servers: list[ReplayServer] = []

    def start(rows: Sequence[tuple[str, dict[str, Any]]], engine: str = "noweb") -> ReplayServer:
        folder = write_account(tmp_path / f"account{len(servers)}", rows)
        servers.append(ReplayServer(folder, api_key=KEY, engine=engine).start())
        servers[-1].control.wait_scale = 0
        world.change_channel(
            f"config = config || jsonb_build_object('base_url', '{servers[-1].url}'::text)"
        )
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


OLD = [
    (ANA, message(ANA, "A", at("2026-06-20 10:00"), "um")),
    (ANA, message(ANA, "B", at("2026-06-20 10:01"), "dois")),
    (BIA, message(BIA, "C", at("2026-06-30 11:00"), "três")),
]


def pass_at(world: World, now: datetime, *, reread_days: int = 0) -> Synced:
    """Run one pass at a moment."""
    importer = world.importer(now=now)
    ledger.start_run(world.engine, world.channel, importer.run_id, now.date(), now.date())
    return sync_channel(importer, reread_days=reread_days)


def texts(world: World) -> dict[str, str]:
    """Return the CRM's texts by stanza id, of messages that are not deleted."""
    found = world.rows(
        "SELECT k.stanza_id, m.text FROM messages AS m JOIN history_sync.message_keys AS k "
        "ON k.message_id = m.id WHERE m.deleted_at IS NULL"
    )
    return {row["stanza_id"]: row["text"] for row in found}


def status(world: World, stanza: str) -> str:
    return str(
        world.value(
            "SELECT m.status FROM messages AS m JOIN history_sync.message_keys AS k "
            "ON k.message_id = m.id WHERE k.stanza_id = :stanza",
            stanza=stanza,
        )
    )


def states(world: World) -> dict[date, str]:
    return {row["day"]: row["state"] for row in coverage.list_days(world.engine, world.channel)}


def asked(server: ReplayServer) -> int:
    """Return how many pages of messages were asked for, and forget them."""
    found = server.stats.requests[MESSAGES]
    server.stats.reset()
    return found


def settle(world: World, since: datetime, until: datetime) -> datetime:
    """Run a pass whenever something is due."""
    now = since
    while now < until:
        now += 10 * MINUTE
        found = coverage.due_days(
            world.engine, now, start=START, overlap=HOUR, channels=[world.channel.id]
        )
        if found:
            pass_at(world, now)
    return now


# -- what is new ---------------------------------------------------------------------------------


@pytest.mark.parametrize("waha", ["noweb", "gows", "webjs", "wpp"])
def test_a_new_message_is_in_the_crm_after_one_pass(world: World, serve: Serve, waha: str) -> None:
    server = serve(OLD, waha)
    world.import_days()
    new = message(ANA, "NEW", at("2026-06-30 12:01"), "novo")
    server.account.put_message(ANA, new)
    synced = pass_at(world, NOW + 2 * MINUTE)
    assert texts(world)["NEW"] == "novo"
    assert (synced.total("inserted"), list(synced.changed)) == (1, [TODAY])
    assert not synced.notes or waha in ("webjs", "wpp")
    assert states(world)[TODAY] == "reading"
    world.assert_proved()


def test_the_reading_of_what_is_new_costs_two_pages_and_reads_no_other_day(
    world: World, serve: Serve
) -> None:
    server = serve(OLD)
    world.import_days()
    server.stats.reset()
    server.account.put_message(ANA, message(ANA, "NEW", at("2026-06-30 12:01"), "novo"))
    synced = pass_at(world, NOW + 2 * MINUTE)
    assert (synced.days_read, synced.days_quiet) == (1, 0)
    assert (asked(server), synced.requests) == (2, 4)


def test_a_pass_without_news_writes_nothing(world: World, serve: Serve) -> None:
    serve(OLD)
    world.import_days()
    before = world.rows("SELECT m.*, m.xmin::text FROM messages AS m ORDER BY id")
    synced = pass_at(world, NOW + 2 * MINUTE)
    assert synced.changed == {}
    assert world.rows("SELECT m.*, m.xmin::text FROM messages AS m ORDER BY id") == before


def test_a_message_that_comes_within_the_overlap_is_found(world: World, serve: Serve) -> None:
    server = serve(OLD)
    world.import_days()
    server.account.put_message(ANA, message(ANA, "LATE", at("2026-06-30 10:30"), "atrasada"))
    pass_at(world, NOW + 2 * MINUTE)
    assert texts(world)["LATE"] == "atrasada"


def test_what_came_while_nobody_looked_for_days_is_read_in_one_pass(
    world: World, serve: Serve
) -> None:
    server = serve(OLD)
    world.import_days()
    for day in (2, 3, 5):
        row = message(ANA, f"JULY{day}", at(f"2026-07-0{day} 09:00"), "depois")
        server.account.put_message(ANA, row)
    synced = pass_at(world, datetime(2026, 7, 5, 12, tzinfo=UTC))
    assert set(texts(world)) == {"A", "B", "C", "JULY2", "JULY3", "JULY5"}
    # The last of June and the four days behind it were over: they are read whole the next time.
    assert synced.total("inserted") == 3
    assert states(world)[date(2026, 7, 4)] == "reading"
    pass_at(world, datetime(2026, 7, 5, 12, 1, tzinfo=UTC))
    assert {states(world)[date(2026, 7, day)] for day in (1, 2, 3, 4)} == {"settling"}


def test_a_server_that_is_down_fails_the_pass_and_the_next_one_makes_up_for_it(
    world: World, serve: Serve
) -> None:
    server = serve(OLD)
    world.import_days()
    server.control.status = "STOPPED"
    with pytest.raises(WahaError):
        pass_at(world, NOW + HOUR)
    [candidate] = sync.candidates(world.engine, NOW + HOUR)
    assert candidate.backs_off
    server.account.put_message(ANA, message(ANA, "NEW", at("2026-06-30 12:30"), "novo"))
    server.control.status = "WORKING"
    pass_at(world, NOW + 2 * HOUR)
    assert texts(world)["NEW"] == "novo"
    [candidate] = sync.candidates(world.engine, NOW + 2 * HOUR)
    assert not candidate.backs_off


def test_a_channel_that_fails_is_left_alone_for_ever_longer_up_to_an_hour(
    world: World, serve: Serve
) -> None:
    serve(OLD)
    world.import_days()
    pauses = []
    for _ in range(8):
        sync.note_failure(world.engine, world.channel, NOW)
        until = world.value("SELECT not_before FROM history_sync.sync_state")
        pauses.append((until - NOW) // MINUTE)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


# -- what comes late -----------------------------------------------------------------------------


@pytest.mark.parametrize("waha", ["noweb", "gows", "webjs", "wpp"])
def test_a_message_of_an_old_day_is_found_when_its_day_is_checked(
    world: World, serve: Serve, waha: str
) -> None:
    server = serve(OLD, waha)
    world.import_days()
    server.account.put_message(BIA, message(BIA, "LATE", at("2026-06-21 08:00"), "velha"))
    pass_at(world, NOW + 5 * MINUTE)
    assert "LATE" not in texts(world)
    synced = pass_at(world, NOW + 61 * MINUTE)
    assert texts(world)["LATE"] == "velha"
    assert list(synced.changed) == [date(2026, 6, 21)]
    world.assert_proved()


def test_a_check_that_finds_nothing_costs_one_request_for_a_month(
    world: World, serve: Serve
) -> None:
    server = serve(OLD)
    world.import_days(days_between(date(2026, 6, 2), TODAY))
    pass_at(world, NOW + MINUTE)
    server.stats.reset()
    synced = pass_at(world, NOW + 10 * MINUTE)
    assert (synced.days_quiet, synced.days_read) == (28, 1)
    assert asked(server) == 2 + 1  # What is new, and one question for the 28 days before.
    assert set(states(world).values()) == {"settled", "reading"}


def test_a_revoked_message_does_not_hide_one_that_comes_late(world: World, serve: Serve) -> None:
    server = serve(OLD)
    world.import_days()
    pass_at(world, NOW + 10 * MINUTE)
    assert server.account.revoke("A")
    world.import_days([date(2026, 6, 20)], now=NOW + 2 * HOUR)
    # WAHA shows one row of the day now, and the archive knows two.
    server.account.put_message(ANA, message(ANA, "LATE", at("2026-06-20 20:00"), "velha"))
    pass_at(world, NOW + DAY)
    assert texts(world)["LATE"] == "velha"


def test_history_older_than_anything_known_is_found(world: World, serve: Serve) -> None:
    server = serve(OLD)
    # As an import of everything does: the days of messages, and the first day for what is older.
    world.import_days(days_between(date(2026, 6, 20), TODAY))
    world.import_days([START])
    server.account.put_message(BIA, message(BIA, "OLDER", at("2026-06-10 08:00"), "antiga"))
    synced = pass_at(world, NOW + 10 * MINUTE)
    assert texts(world)["OLDER"] == "antiga"
    assert min(synced.changed) == date(2026, 6, 10)
    assert set(states(world)) == {START, *days_between(date(2026, 6, 10), TODAY)}


def test_history_older_than_what_was_asked_for_is_not_read(world: World, serve: Serve) -> None:
    server = serve(OLD)
    world.import_days(days_between(date(2026, 6, 20), TODAY))
    server.account.put_message(BIA, message(BIA, "OLDER", at("2026-06-10 08:00"), "antiga"))
    pass_at(world, NOW + 10 * MINUTE)
    assert "OLDER" not in texts(world)


def test_days_settle_and_are_exhausted_by_themselves(world: World, serve: Serve) -> None:
    server = serve(OLD)
    world.import_days()
    end = settle(world, NOW, NOW + HOUR)
    assert set(states(world).values()) == {"settled", "reading"}
    for day in range(1, 9):
        pass_at(world, end + day * DAY)
    assert states(world)[date(2026, 6, 20)] == "exhausted"
    server.stats.reset()
    pass_at(world, end + 8 * DAY + MINUTE)
    assert asked(server) <= 3


# -- acks, edits, revokes ------------------------------------------------------------------------


def test_an_ack_after_two_days_is_found(world: World, serve: Serve) -> None:
    out = message(ANA, "OUT", at("2026-06-28 10:00"), "enviada", from_me=True, ack=1)
    server = serve([*OLD, (ANA, out)])
    world.import_days()
    assert status(world, "OUT") == "sent"
    server.account.put_message(ANA, out | {"ack": 3, "ackName": "READ"})
    pass_at(world, NOW + 30 * MINUTE)
    assert status(world, "OUT") == "sent"
    pass_at(world, NOW + HOUR)
    assert status(world, "OUT") == "read"


def test_an_edit_of_the_last_days_is_found_by_the_daily_reading(world: World, serve: Serve) -> None:
    account = [*OLD, (ANA, message(ANA, "E", at("2026-06-28 10:00"), "erado"))]
    server = serve(account)
    world.import_days()
    settle(world, NOW, NOW + HOUR)
    server.account.put_message(ANA, edited(account[-1][1], "errado", at("2026-06-28 10:05")))
    pass_at(world, NOW + 21 * HOUR, reread_days=7)
    assert texts(world)["E"] == "errado"


def test_a_revoke_is_found_by_two_daily_readings(world: World, serve: Serve) -> None:
    server = serve([*OLD, *((ANA, message(ANA, x, at("2026-06-28 10:00"), x)) for x in "XYZ")])
    world.import_days()
    settle(world, NOW, NOW + HOUR)
    assert server.account.revoke("Y")
    pass_at(world, NOW + 21 * HOUR, reread_days=7)
    assert "Y" in texts(world)
    pass_at(world, NOW + 42 * HOUR, reread_days=7)
    assert set(texts(world)) == {"A", "B", "C", "X", "Z"}


def test_a_hint_has_its_day_read_and_is_done_then(world: World, serve: Serve) -> None:
    account = list(OLD)
    server = serve(account)
    world.import_days()
    settle(world, NOW, NOW + HOUR)
    server.account.put_message(ANA, edited(account[0][1], "um!", at("2026-06-20 10:00")))
    world.execute(
        "INSERT INTO history_sync.hints (channel_id, event_id, event, stanza_id) "
        "VALUES (:channel, 'evt_1', 'message.edited', 'A')",
        channel=world.channel.id,
    )
    [candidate] = sync.candidates(world.engine, NOW)
    assert candidate.has_hints
    pass_at(world, NOW + HOUR + MINUTE)
    assert texts(world)["A"] == "um!"
    [candidate] = sync.candidates(world.engine, NOW)
    assert not candidate.has_hints


# -- whose business it is ------------------------------------------------------------------------


def test_a_channel_that_was_never_imported_is_left_alone(world: World, serve: Serve) -> None:
    server = serve(OLD)
    assert sync.candidates(world.engine, NOW) == []
    synced = pass_at(world, NOW)
    assert synced == Synced(notes=(NEVER,))
    assert server.stats.total == 0
    assert texts(world) == {}


def test_a_channel_whose_import_found_nothing_is_kept_in_step(world: World, serve: Serve) -> None:
    server = serve([], "noweb")
    with taking_part(world.engine, world.channel, "one", Wish()):
        world.import_days()
    began = world.value("SELECT max(started_at) FROM history_sync.imports")
    row = message(ANA, "FIRST", int(began.timestamp()) + 60, "olá")
    server.account.put_message(ANA, row)
    pass_at(world, began + 2 * MINUTE)
    assert texts(world) == {"FIRST": "olá"}


def test_a_pass_leaves_the_import_status_and_the_outbox_alone(world: World, serve: Serve) -> None:
    server = serve(OLD)
    with taking_part(world.engine, world.channel, "one", Wish()):
        world.import_days()
    statement = "SELECT history_import_status, history_import_stats, last_import_date FROM channels"
    before = world.rows(statement)
    events = world.value("SELECT count(*) FROM outbox_events WHERE status = 'pending'")
    server.account.put_message(ANA, message(ANA, "NEW", at("2026-06-30 12:01"), "novo"))
    pass_at(world, NOW + 2 * MINUTE)
    assert texts(world)["NEW"] == "novo"
    assert world.rows(statement) == before
    assert world.value("SELECT count(*) FROM outbox_events WHERE status = 'pending'") == events


def test_an_import_with_a_limit_per_chat_is_not_filled_up_by_checks(
    world: World, serve: Serve
) -> None:
    server = serve(OLD)
    with taking_part(world.engine, world.channel, "one", Wish(limit=1)):
        importer = world.importer()
        ledger.start_run(world.engine, world.channel, importer.run_id, START, TODAY)
        importer.refresh_directory()
        list(importer.read_days(world.days))
        list(importer.load_days(world.days, max_per_chat=1))
    world.execute("UPDATE history_sync.imports SET max_per_chat = 1")
    assert set(texts(world)) == {"B", "C"}
    server.account.put_message(BIA, message(BIA, "LATE", at("2026-06-20 12:00"), "velha"))
    for stanza in ("N1", "N2"):
        row = message(BIA, stanza, at("2026-06-30 12:00"), "novo")
        server.account.put_message(BIA, row)
    pass_at(world, NOW + 10 * MINUTE)
    assert set(texts(world)) == {"B", "C", "N1", "N2"}


def test_a_channel_that_was_turned_off_or_is_being_imported_is_no_candidate(
    world: World, serve: Serve
) -> None:
    serve(OLD)
    world.import_days()
    assert len(sync.candidates(world.engine, NOW)) == 1
    with taking_part(world.engine, world.channel, "one", Wish()):
        assert sync.candidates(world.engine, NOW) == []
    assert len(sync.candidates(world.engine, NOW)) == 1
    world.change_channel("history_import_enabled = false")
    assert sync.candidates(world.engine, NOW) == []


def test_a_pass_waits_for_whoever_writes_the_channel(world: World, serve: Serve) -> None:
    server = serve(OLD)
    world.import_days()
    server.account.put_message(ANA, message(ANA, "NEW", at("2026-06-30 12:01"), "novo"))
    done: list[Synced] = []
    with world.engine.begin() as connection:
        connection.exec_driver_sql(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            (f"ventros/channel/{world.channel.id}",),
        )
        running = threading.Thread(target=lambda: done.append(pass_at(world, NOW + MINUTE)))
        running.start()
        running.join(timeout=3)
        assert running.is_alive()
        assert "NEW" not in texts(world)
    running.join(timeout=30)
    assert done[0].total("inserted") == 1
    assert texts(world)["NEW"] == "novo"
