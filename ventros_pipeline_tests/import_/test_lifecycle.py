"""The channel's import lifecycle: columns, events, who may import when, and how far back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import Engine, event

from ventros_pipeline.crm import ledger, lifecycle, plans
from ventros_pipeline.crm.channels import get_channel
from ventros_pipeline.crm.database import connect, libpq_url
from ventros_pipeline.crm.lifecycle import (
    INTERRUPTED,
    LOST,
    SILENT,
    AlreadyImportingError,
    LifecycleError,
    Participation,
    taking_part,
)
from ventros_pipeline.crm.limits import (
    STRATEGIES,
    Wish,
    allowed_days,
    first_wanted,
    last_days,
    tighter,
)
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.import_.world import World, at, days_between, message, write_account

ANA = "5511980000001@s.whatsapp.net"
Serve = Callable[[Path], ReplayServer]
TODAY = date(2026, 6, 30)
EVENTS = """
    SELECT event_id, event_type, event_data, aggregate_id, aggregate_type, tenant_id, project_id,
        status, metadata
    FROM outbox_events WHERE event_type LIKE 'channel.history_import.%' ORDER BY created_at, id
"""


def events(world: World) -> list[str]:
    return [row["event_type"].rpartition(".")[2] for row in world.rows(EVENTS)]


def column(world: World, name: str) -> Any:
    return world.value(f"SELECT {name} FROM channels WHERE id = :id", id=world.channel.id)


def enable(world: World, **limits: Any) -> None:
    lifecycle.enable(world.engine, world.channel, **limits)
    world.channel = get_channel(world.engine, str(world.channel.id))


def import_in_lifecycle(
    world: World, days: list[date] | None = None, *, max_per_chat: int | None = None
) -> UUID:
    """Run one import of one run, as a run of the job does it."""
    days = days or world.days
    importer = world.importer()
    ledger.start_run(world.engine, world.channel, importer.run_id, days[0], days[-1])
    wish = last_days(days[0], TODAY)
    with taking_part(world.engine, world.channel, importer.run_id, wish) as import_id:
        lifecycle.attach_run(world.engine, world.channel, import_id, importer.run_id)
        importer.refresh_directory()
        for _ in importer.read_days(days):
            pass
        for _ in importer.load_days(days, max_per_chat=max_per_chat):
            pass
        ledger.end_run(world.engine, world.channel, importer.run_id)
    return import_id


def stanzas(world: World) -> list[str]:
    rows = world.rows("SELECT stanza_id FROM history_sync.message_keys ORDER BY 1")
    return [row["stanza_id"] for row in rows]


@contextmanager
def another_process(engine: Engine, name: str = "another") -> Iterator[Engine]:
    """An engine whose sessions can be told from this test's, as of a process that can be killed."""
    url = engine.url.render_as_string(hide_password=False)
    other = connect(url, application_name=name)
    yield other
    other.dispose()


def kill(engine: Engine, name: str = "another") -> None:
    """End a process's sessions, as the server sees it when the process is killed."""
    url = libpq_url(engine.url.render_as_string(hide_password=False))
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE application_name = %s",
            [name],
        )


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """A message of Ana on the first and last of each ten days of June, and a row without a time."""
    days = ("01", "10", "11", "20", "23", "24", "30")
    rows: list[Any] = [
        (ANA, message(ANA, f"3EB0{day}", at(f"2026-06-{day} 10:00"), "segredo")) for day in days
    ]
    return write_account(tmp_path / "account", rows)


# -- transitions ---------------------------------------------------------------------------------


def test_an_import_goes_from_idle_through_importing_to_completed(
    world: World, replay: Serve, account: Path
) -> None:
    replay(account)
    enable(world)
    assert column(world, "history_import_status") == "idle"

    seen: list[str] = []
    with taking_part(world.engine, world.channel, "one", Wish()):
        seen.append(column(world, "history_import_status"))

    assert seen == ["importing"]
    assert column(world, "history_import_status") == "completed"
    assert events(world) == ["enabled", "requested", "started", "completed"]


def test_events_are_what_the_consumers_read(world: World) -> None:
    enable(world, max_per_chat=50)
    with taking_part(world.engine, world.channel, "one", Wish("time_range", 7, 100)):
        pass
    with (
        pytest.raises(ValueError, match="segredo"),
        taking_part(world.engine, world.channel, "two", Wish()),
    ):
        raise ValueError("o segredo da Ana, 5511980000001")

    rows = world.rows(EVENTS)
    for row in rows:
        # The CRM answers a pending request with its own importer, on the same channel.
        asks = row["event_type"].endswith(".requested")
        assert row["status"] == ("processed" if asks else "pending")
        assert (row["aggregate_type"], row["aggregate_id"]) == ("channel", world.channel.id)
        assert (row["tenant_id"], row["project_id"]) == (
            world.channel.tenant_id,
            world.channel.project_id,
        )
    payloads = [row["event_data"] for row in rows]
    assert [sorted(payload) for payload in payloads[:4]] == [
        ["AgentID", "ChannelID", "Timestamp"],
        [
            "channel_id",
            "channel_type",
            "correlation_id",
            "limit",
            "requested_at",
            "strategy",
            "time_range_days",
        ],
        ["ChannelID", "Timestamp"],
        ["ChannelID", "Stats", "Timestamp"],
    ]
    asked = payloads[1]
    assert (asked["strategy"], asked["time_range_days"], asked["limit"]) == ("time_range", 7, 50)
    assert asked["correlation_id"] == rows[1]["metadata"]["correlation_id"]
    assert payloads[0]["AgentID"] == str(world.channel.agent_id)
    assert payloads[3]["Stats"].keys() == {
        "total",
        "processed",
        "failed",
        "started_at",
        "ended_at",
    }
    assert payloads[-1]["Reason"] == "unexpected ValueError"
    for name in ("Timestamp", "requested_at"):
        for payload in payloads:
            if name in payload:
                assert datetime.fromisoformat(payload[name]).tzinfo is not None


def test_only_the_lifecycle_speaks_to_the_outbox_and_each_transition_once(
    world: World, replay: Serve, account: Path
) -> None:
    replay(account)
    url = libpq_url(world.engine.url.render_as_string(hide_password=False))
    with psycopg.connect(url, autocommit=True) as listener:
        listener.execute("LISTEN outbox_events")
        import_in_lifecycle(world)
        told = list(listener.notifies(timeout=2, stop_after=5))

    assert len(told) == 3
    pending = "SELECT count(*) FROM outbox_events WHERE status = 'pending'"
    assert world.value(pending) == 3
    assert events(world) == ["enabled", "requested", "started", "completed"]


def test_an_event_and_its_column_are_one_transaction(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("the outbox is full")

    monkeypatch.setattr(lifecycle, "_emit", refuse)
    with pytest.raises(OSError, match="the outbox is full"):
        lifecycle.enable(world.engine, world.channel)
    assert column(world, "history_import_enabled") is False


CHANNEL_OFF = "history_import_enabled = false"
REFUSALS = [
    ("enable", "status = 'inactive'", {}, "only an active or connecting channel"),
    ("enable", "status = 'active'", {"max_days": 0}, "days must be above 0"),
    ("enable", "status = 'active'", {"max_per_chat": -1}, "per chat must be above 0"),
    ("request", "status = 'active'", {"strategy": "newest"}, "must be one of time_range"),
    ("request", "status = 'active'", {"strategy": "time_range"}, "needs a number of days"),
    ("request", CHANNEL_OFF, {}, "was turned off"),
    ("request", "status = 'connecting'", {}, "only an active channel is imported"),
    ("request", "config = '{}', external_id = NULL", {}, "names no WAHA server or session"),
    ("request", "history_import_status = 'importing'", {}, "the CRM says that it imports"),
]


@pytest.mark.parametrize(("transition", "channel", "asked", "said"), REFUSALS)
def test_a_transition_is_refused_with_what_to_do(
    world: World, transition: str, channel: str, asked: dict[str, Any], said: str
) -> None:
    enable(world)
    world.change_channel(channel)
    before = events(world)

    def attempt() -> None:
        if transition == "enable":
            lifecycle.enable(world.engine, world.channel, **asked)
        else:
            lifecycle.request(world.engine, world.channel, Wish(**asked))

    with pytest.raises(LifecycleError, match=said) as refused:
        attempt()

    assert world.channel.key in str(refused.value)
    assert events(world) == before


@pytest.mark.parametrize("status", ["active", "connecting"])
def test_a_connected_channel_can_be_enabled(world: World, status: str) -> None:
    world.change_channel(f"status = '{status}'")
    enable(world, max_days=7, max_per_chat=100)
    assert column(world, "history_import_enabled") is True
    assert (world.channel.max_days, world.channel.max_per_chat) == (7, 100)
    assert events(world) == ["enabled"]


@pytest.mark.parametrize("status", ["idle", "completed", "failed"])
def test_an_import_starts_from_any_state_but_importing(world: World, status: str) -> None:
    enable(world)
    world.change_channel(f"history_import_status = '{status}'")
    with taking_part(world.engine, world.channel, "one", Wish()):
        pass
    assert column(world, "history_import_status") == "completed"


def test_enabling_sets_a_state_back_that_the_crm_left_behind(world: World) -> None:
    enable(world)
    world.change_channel("history_import_status = 'importing'")
    enable(world)
    assert column(world, "history_import_status") == "idle"


def test_enabling_with_a_name_gives_the_messages_to_that_agent(world: World) -> None:
    lifecycle.enable(world.engine, world.channel, agent="Outra")
    name = "SELECT a.name FROM channels AS c JOIN agents AS a ON a.id = c.default_agent_id"
    assert world.value(name) == "Outra"


def test_whoever_imports_a_channel_that_nobody_decided_on_enables_it(world: World) -> None:
    world.change_channel("history_import_max_days = 7")
    with taking_part(world.engine, world.channel, "one", Wish()):
        pass
    assert column(world, "history_import_enabled") is True
    assert column(world, "history_import_max_days") == 7
    assert events(world) == ["enabled", "requested", "started", "completed"]


@pytest.mark.parametrize("by", ["ventros", "the CRM"])
def test_a_channel_that_was_turned_off_is_not_imported(world: World, by: str) -> None:
    enable(world)
    if by == "ventros":
        lifecycle.disable(world.engine, world.channel)
    else:
        world.change_channel(CHANNEL_OFF)
    with (
        pytest.raises(LifecycleError, match="turned off; turn it on with `ventros channel enable"),
        taking_part(world.engine, world.channel, "one", Wish()),
    ):
        pass
    assert events(world) == ["enabled"]


def test_a_channel_turned_off_before_its_first_import_stays_off(world: World) -> None:
    lifecycle.disable(world.engine, world.channel)
    with (
        pytest.raises(LifecycleError, match="turned off"),
        taking_part(world.engine, world.channel, "one", Wish()),
    ):
        pass


# -- exclusion and takeover ----------------------------------------------------------------------


def test_a_second_start_is_refused_while_one_runs(world: World) -> None:
    with taking_part(world.engine, world.channel, "one", Wish()):
        with (
            pytest.raises(AlreadyImportingError, match="being imported already, since 20"),
            taking_part(world.engine, world.channel, "two", Wish()),
        ):
            pass
        with pytest.raises(AlreadyImportingError):
            lifecycle.request(world.engine, world.channel, Wish())
        with pytest.raises(AlreadyImportingError):
            lifecycle.enable(world.engine, world.channel)
    assert events(world) == ["enabled", "requested", "started", "completed"]


def test_two_channels_are_imported_at_the_same_time(world: World) -> None:
    part = Participation(world.engine, "one")
    part.enter(world.channel, Wish())
    with another_process(world.engine) as engine:
        other = Participation(engine, "two")
        with pytest.raises(AlreadyImportingError):
            other.enter(world.channel, Wish())
        other.leave()
    part.leave()
    assert column(world, "history_import_status") == "completed"


def test_runs_of_one_group_are_one_import_which_the_last_of_them_ends(world: World) -> None:
    first, second = Participation(world.engine, "backfill"), Participation(world.engine, "backfill")
    import_id = first.enter(world.channel, Wish())
    assert second.enter(world.channel, Wish()) == import_id

    first.fail(world.channel, "WAHA was down")
    first.leave()
    assert column(world, "history_import_status") == "importing"
    second.leave()

    assert column(world, "history_import_status") == "failed"
    assert events(world) == ["enabled", "requested", "started", "failed"]
    assert world.rows(EVENTS)[-1]["event_data"]["Reason"] == "WAHA was down"


def test_a_stale_import_of_a_killed_process_is_failed_and_taken_over(world: World) -> None:
    run_id = world.importer().run_id
    with another_process(world.engine) as engine:
        killed = Participation(engine, "killed")
        import_id = killed.enter(world.channel, Wish())
        ledger.start_run(world.engine, world.channel, run_id, TODAY, TODAY)
        lifecycle.attach_run(world.engine, world.channel, import_id, run_id)
        kill(world.engine)
        assert column(world, "history_import_status") == "importing"

        with taking_part(world.engine, world.channel, "next", Wish()):
            # It had only lost its connection, and comes to its end after all.
            killed.leave()
            assert column(world, "history_import_status") == "importing"

    assert column(world, "history_import_status") == "completed"
    assert events(world) == [
        "enabled",
        "requested",
        "started",
        "failed",
        "requested",
        "started",
        "completed",
    ]
    assert world.rows(EVENTS)[3]["event_data"]["Reason"] == LOST
    [run] = world.rows("SELECT status, error FROM history_sync.runs")
    assert run == {"status": "failed", "error": LOST}


def test_a_request_reserves_the_channel_for_the_run_that_starts_it(world: World) -> None:
    enable(world)
    import_id = lifecycle.request(world.engine, world.channel, Wish("recent"))
    assert column(world, "history_import_status") == "importing"
    with pytest.raises(AlreadyImportingError):
        lifecycle.request(world.engine, world.channel, Wish())
    with (
        pytest.raises(AlreadyImportingError),
        taking_part(world.engine, world.channel, "somebody", Wish()),
    ):
        pass

    with taking_part(world.engine, world.channel, str(import_id), Wish()) as started:
        assert started == import_id

    assert events(world) == ["enabled", "requested", "started", "completed"]


def test_a_request_that_nobody_starts_is_given_up_after_an_hour(world: World) -> None:
    enable(world)
    lifecycle.request(world.engine, world.channel, Wish())
    world.execute("UPDATE history_sync.imports SET requested_at = now() - interval '61 minutes'")
    with taking_part(world.engine, world.channel, "somebody", Wish()):
        pass
    assert events(world)[1:] == ["requested", "failed", "requested", "started", "completed"]


# -- figures -------------------------------------------------------------------------------------


def test_total_is_processed_and_failed_and_processed_are_the_messages_in_the_crm(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    good = [(ANA, message(ANA, f"3EB0{n}", at(f"2026-06-1{n} 10:00"))) for n in range(5)]
    status = message("status@broadcast", "3EB0S", at("2026-06-11 10:00"))
    broken = b'{"id": 7, "timestamp": 1781172000}'
    rows: list[Any] = [*good, (ANA, broken), ("status@broadcast", status)]
    replay(write_account(tmp_path / "account", rows))

    import_in_lifecycle(world)

    stats = column(world, "history_import_stats")
    assert stats["total"] == stats["processed"] + stats["failed"] == 6
    assert stats["processed"] == world.value("SELECT count(*) FROM messages") == 5
    assert stats["failed"] == world.value("SELECT count(*) FROM history_sync.quarantine") == 1
    assert datetime.fromisoformat(stats["started_at"]) <= datetime.fromisoformat(stats["ended_at"])
    assert world.rows(EVENTS)[-1]["event_data"]["Stats"] == stats

    import_in_lifecycle(world)
    again = column(world, "history_import_stats")
    assert (again["total"], again["processed"], again["failed"]) == (6, 5, 1)


def test_progress_is_readable_while_it_runs(world: World, replay: Serve, account: Path) -> None:
    replay(account)
    assert plans.plan_of(world.engine, world.channel) is None
    importer = world.importer()
    ledger.start_run(world.engine, world.channel, importer.run_id, world.days[0], world.days[-1])
    with taking_part(world.engine, world.channel, "one", Wish()) as import_id:
        lifecycle.attach_run(world.engine, world.channel, import_id, importer.run_id)
        importer.refresh_directory()
        for _ in importer.read_days(world.days):
            pass
        meanwhile = plans.plan_of(world.engine, world.channel)
        for _ in importer.load_days(world.days):
            pass
        ledger.end_run(world.engine, world.channel, importer.run_id)

    ended = plans.plan_of(world.engine, world.channel)
    assert meanwhile is not None
    assert ended is not None
    assert (meanwhile.driver, meanwhile.status, meanwhile.messages) == ("run", "running", 7)
    assert (meanwhile.days_read, meanwhile.days_done, meanwhile.days_total) == (30, 0, 30)
    assert meanwhile.rate is not None
    assert (ended.status, ended.days_done, ended.seconds_left) == ("completed", 30, None)


def test_errors_are_kept_and_the_run_can_be_repeated(
    world: World, replay: Serve, account: Path
) -> None:
    with pytest.raises(Exception, match="WAHA session 'default'"):
        import_in_lifecycle(world)
    assert column(world, "history_import_status") == "failed"
    assert column(world, "last_import_date") is None
    assert "ended_at" in column(world, "history_import_stats")
    reason = world.rows(EVENTS)[-1]["event_data"]["Reason"]
    assert reason.startswith("WAHA session 'default'")
    failed = plans.plan_of(world.engine, world.channel)
    assert failed is not None
    assert (failed.status, failed.error) == ("failed", reason)

    replay(account)
    import_in_lifecycle(world)
    assert column(world, "history_import_status") == "completed"
    assert len(stanzas(world)) == 7


def test_a_run_that_ends_before_its_days_are_loaded_fails_its_import(world: World) -> None:
    run_id = world.importer().run_id
    with taking_part(world.engine, world.channel, run_id, Wish()) as import_id:
        ledger.start_run(world.engine, world.channel, run_id, TODAY, TODAY)
        lifecycle.attach_run(world.engine, world.channel, import_id, run_id)
    assert column(world, "history_import_status") == "failed"
    assert world.rows(EVENTS)[-1]["event_data"]["Reason"] == SILENT


def test_an_interrupted_import_says_so(world: World) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        taking_part(world.engine, world.channel, "one", Wish()),
    ):
        raise KeyboardInterrupt
    assert world.rows(EVENTS)[-1]["event_data"]["Reason"] == INTERRUPTED


def test_last_import_date_is_the_utc_time_without_a_zone(world: World) -> None:
    @event.listens_for(world.engine, "checkout")
    def live_elsewhere(connection: Any, *_: object) -> None:
        connection.execute("SET TimeZone = 'America/Sao_Paulo'")

    with taking_part(world.engine, world.channel, "one", Wish()):
        pass

    stored = column(world, "last_import_date")
    assert stored.tzinfo is None
    assert abs(stored.replace(tzinfo=UTC) - datetime.now(UTC)) < timedelta(minutes=1)
    state = lifecycle.state_of(world.engine, world.channel)
    assert state.last_import_at == stored.replace(tzinfo=UTC)


def test_an_import_of_some_chats_does_not_move_the_last_import(world: World) -> None:
    with taking_part(world.engine, world.channel, "one", Wish(partial=True)):
        pass
    assert column(world, "history_import_status") == "completed"
    assert column(world, "last_import_date") is None


# -- limits --------------------------------------------------------------------------------------


def test_a_7_day_limit_imports_no_older_message(world: World, replay: Serve, account: Path) -> None:
    replay(account)
    enable(world, max_days=7)
    import_in_lifecycle(world)
    assert stanzas(world) == ["3EB024", "3EB030"]
    oldest = world.value("SELECT min(timestamp) FROM messages")
    assert oldest >= world.now - timedelta(days=7)


def test_days_beyond_the_limit_are_named_in_a_note(
    world: World, replay: Serve, account: Path
) -> None:
    replay(account)
    enable(world, max_days=7)
    importer = world.importer()
    ledger.start_run(world.engine, world.channel, importer.run_id, world.days[0], world.days[-1])
    read = [day.day for day in importer.read_days(world.days)]
    assert read == days_between(date(2026, 6, 24), TODAY)
    assert any("23 days before 2026-06-24 were left out" in note for note in importer.notes)
    assert list(importer.read_days(world.days[:5])) == []


@pytest.mark.parametrize(("channels", "asked", "kept"), [(2, None, 2), (2, 1, 1), (2, 5, 2)])
def test_the_per_chat_limit_of_a_channel_may_be_narrowed_and_not_widened(
    world: World, replay: Serve, account: Path, channels: int, asked: int | None, kept: int
) -> None:
    replay(account)
    enable(world, max_per_chat=channels)
    import_in_lifecycle(world, max_per_chat=asked)
    assert stanzas(world) == ["3EB024", "3EB030"][-kept:]
    assert column(world, "history_import_stats")["total"] == kept


def test_an_import_is_incremental_by_last_import_date(
    world: World, replay: Serve, account: Path
) -> None:
    replay(account)
    recent = Wish("recent")
    assert lifecycle.first_day(world.engine, world.channel, recent, TODAY) is None
    import_in_lifecycle(world)
    # What is new begins a day before the newest message: today's column alone would leave a gap.
    assert lifecycle.first_day(world.engine, world.channel, recent, TODAY) == date(2026, 6, 29)

    world.change_channel("last_import_date = '2026-06-21 23:30'")
    first = lifecycle.first_day(world.engine, world.channel, recent, TODAY)
    assert first == date(2026, 6, 20)
    assert lifecycle.first_day(world.engine, world.channel, Wish("full"), TODAY) is None
    world.change_channel("history_import_max_days = 3")
    assert lifecycle.first_day(world.engine, world.channel, recent, TODAY) == date(2026, 6, 28)

    before = world.rows("SELECT id, xmin::text FROM messages ORDER BY id")
    import_in_lifecycle(world, days_between(first, TODAY))
    assert world.rows("SELECT id, xmin::text FROM messages ORDER BY id") == before


UNTIL = datetime(2026, 6, 20, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wish", "max_days", "until", "first"),
    [
        (Wish("full"), None, UNTIL, None),
        (Wish("all"), None, UNTIL, None),
        (Wish("maximum"), 30, UNTIL, date(2026, 6, 1)),
        (Wish("time_range", 7), None, UNTIL, date(2026, 6, 24)),
        (Wish("time_range", 90), 30, UNTIL, date(2026, 6, 1)),
        (Wish("time_range", 7), 30, UNTIL, date(2026, 6, 24)),
        (Wish("recent"), None, None, None),
        (Wish("recent"), 7, None, date(2026, 6, 24)),
        (Wish("recent"), None, UNTIL, date(2026, 6, 19)),
        (Wish("recent"), 90, UNTIL, date(2026, 6, 19)),
        (Wish("recent"), 7, UNTIL, date(2026, 6, 24)),
    ],
)
def test_each_strategy_means_days_within_the_limit(
    wish: Wish, max_days: int | None, until: datetime | None, first: date | None
) -> None:
    assert wish.strategy in STRATEGIES
    found = first_wanted(wish, today=TODAY, max_days=max_days, imported_until=until)
    assert found == first


def test_limits_only_narrow() -> None:
    assert (tighter(None, None), tighter(5, None), tighter(5, 3)) == (None, 5, 3)
    days = days_between(date(2026, 6, 27), TODAY)
    assert allowed_days(days, 1, TODAY) == [TODAY]
    assert allowed_days(days, None, TODAY) == days
