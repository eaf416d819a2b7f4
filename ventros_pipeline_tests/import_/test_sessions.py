"""The CRM's gap rule, whatever order the messages come in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.import_.world import World, at, message, write_account

ANA = "5511980000001@s.whatsapp.net"
Serve = Callable[[Path], ReplayServer]


def conversation(times: Sequence[str], *, ours: Sequence[int] = ()) -> list[tuple[str, Any]]:
    """Return a message of Ana for each time; those numbered in `ours` are our answers."""
    return [
        (ANA, message(ANA, f"3EB0{n:04d}", at(time), f"nr. {n}", from_me=n in ours, ack=3))
        for n, time in enumerate(times)
    ]


def sessions(world: World) -> list[list[str]]:
    """Return each session's messages as `HH:MM:SS`, oldest session first."""
    rows = world.rows(
        "SELECT session_id, timestamp AS at FROM messages ORDER BY timestamp, channel_message_id"
    )
    found: dict[Any, list[str]] = {}
    for row in rows:
        found.setdefault(row["session_id"], []).append(
            row["at"].astimezone(UTC).strftime("%H:%M:%S")
        )
    return list(found.values())


def test_only_a_gap_strictly_greater_than_the_timeout_opens_a_session(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    times = ["2026-06-02 10:00:00", "2026-06-02 10:30:00", "2026-06-02 11:00:01"]
    replay(write_account(tmp_path / "account", conversation(times)))
    world.import_days()
    assert sessions(world) == [["10:00:00", "10:30:00"], ["11:00:01"]]
    world.assert_proved()


def test_four_messages_with_a_long_pause_are_two_sessions_at_240_minutes(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    times = [f"2026-06-02 {time}" for time in ("10:00", "10:05", "10:10", "15:00")]
    replay(write_account(tmp_path / "account", conversation(times)))
    world.change_channel("session_timeout_minutes = 240")
    world.import_days()
    assert sessions(world) == [["10:00:00", "10:05:00", "10:10:00"], ["15:00:00"]]


@pytest.mark.parametrize(
    ("pipeline", "channel", "project", "minutes"),
    [
        (60, 120, 240, 60),
        (None, 120, 240, 120),
        (0, 0, 240, 240),
        (None, None, 0, 30),
    ],
)
def test_the_timeout_is_the_pipelines_then_the_channels_then_the_projects_then_half_an_hour(
    world: World, pipeline: int | None, channel: int | None, project: int, minutes: int
) -> None:
    world.execute("UPDATE projects SET session_timeout_minutes = :m", m=project)
    world.execute(
        "INSERT INTO pipelines (project_id, tenant_id, name, session_timeout_minutes) "
        "VALUES (:project, :tenant, 'Sales', :m)",
        project=world.channel.project_id,
        tenant=world.channel.tenant_id,
        m=pipeline,
    )
    given = "NULL" if channel is None else str(channel)
    world.change_channel(
        f"session_timeout_minutes = {given}, "
        "pipeline_id = (SELECT id FROM pipelines WHERE name = 'Sales')"
    )
    assert world.channel.session_timeout.total_seconds() == minutes * 60


def test_a_session_is_closed_and_knows_its_counts_and_times(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    times = [f"2026-06-02 {time}" for time in ("09:58", "10:00", "10:01", "10:04", "10:20")]
    replay(write_account(tmp_path / "account", conversation(times, ours=[0, 3])))
    world.import_days()
    [session] = world.rows("SELECT * FROM sessions")

    def moment(clock: str) -> datetime:
        return datetime.fromtimestamp(at(f"2026-06-02 {clock}"), UTC)

    said = {
        "status": "ended",
        "end_reason": "inactivity_timeout",
        "tenant_id": world.channel.tenant_id,
        "started_at": moment("09:58"),
        "ended_at": moment("10:20"),
        "last_activity_at": moment("10:20"),
        "message_count": 5,
        "messages_from_contact": 3,
        "messages_from_agent": 2,
        "duration_seconds": 22 * 60,
        "timeout_duration": 30 * 60 * 1_000_000_000,
        "first_contact_message_at": moment("10:00"),
        # What we wrote before the contact did is no answer.
        "first_agent_response_at": moment("10:04"),
        "agent_response_time_seconds": 240,
        "contact_wait_time_seconds": 240,
        "agent_ids": [str(world.channel.agent_id)],
        # Each message counts twice: that it is there, and that its own time is known.
        "version": 10,
        "deleted_at": None,
    }
    assert {name: session[name] for name in said} == said


def test_a_message_that_arrives_between_two_sessions_joins_them_and_the_second_disappears(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    times = ["2026-06-02 10:00", "2026-06-02 10:50"]
    server = replay(write_account(tmp_path / "account", conversation(times)))
    world.import_days()
    first, second = world.rows("SELECT * FROM sessions ORDER BY started_at")

    between = message(ANA, "3EB0FFFF", at("2026-06-02 10:25"), "no meio")
    server.account.put_message(ANA, between)
    figures = world.import_days()
    assert (figures["inserted"], figures["updated"]) == (1, 0)
    [joined] = world.rows("SELECT * FROM sessions")
    assert joined["id"] == first["id"] != second["id"]
    assert (joined["message_count"], joined["duration_seconds"]) == (3, 50 * 60)
    assert joined["version"] > first["version"]
    assert world.value("SELECT count(*) FROM history_sync.sessions") == 1
    assert sessions(world) == [["10:00:00", "10:25:00", "10:50:00"]]
    world.assert_proved()


def test_a_message_that_arrives_before_a_session_opens_it_and_takes_it_over(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    server = replay(write_account(tmp_path / "account", conversation(["2026-06-02 00:10"])))
    world.import_days([date(2026, 6, 2)])
    server.account.put_message(ANA, message(ANA, "3EB0FFFF", at("2026-06-01 23:50"), "antes"))
    world.import_days()
    [session] = world.rows("SELECT * FROM sessions")
    assert session["started_at"] == datetime(2026, 6, 1, 23, 50, tzinfo=UTC)
    assert session["message_count"] == 2
    world.assert_proved()


def test_a_session_of_the_crm_itself_is_left_alone(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    """A live message stands in a session the CRM opened; its history does not move it."""
    times = ["2026-06-02 09:49", "2026-06-02 10:20"]
    replay(write_account(tmp_path / "account", conversation(times)))
    world.importer().read_directory()
    [contact] = world.rows("SELECT id FROM contacts")
    world.execute(
        "INSERT INTO sessions (contact_id, tenant_id, started_at, last_activity_at, message_count) "
        "VALUES (:contact, :tenant, '2026-06-02 10:20Z', '2026-06-02 10:20Z', 1)",
        contact=contact["id"],
        tenant=world.channel.tenant_id,
    )
    world.execute(
        "INSERT INTO messages (tenant_id, timestamp, user_id, project_id, from_me, channel_id, "
        "contact_id, session_id, text, channel_message_id, source, created_at) "
        "SELECT :tenant, '2026-06-02 10:20Z', :owner, :project, false, :channel, :contact, s.id, "
        "'nr. 1', '3EB00001', 'webhook', now() FROM sessions AS s",
        tenant=world.channel.tenant_id,
        owner=world.channel.user_id,
        project=world.channel.project_id,
        channel=world.channel.id,
        contact=contact["id"],
    )
    [theirs] = world.rows("SELECT * FROM sessions")
    figures = world.import_days()
    assert figures["inserted"] == 1
    assert sessions(world) == [["09:49:00"], ["10:20:00"]]
    assert world.rows("SELECT * FROM sessions WHERE id = :id", id=theirs["id"]) == [theirs]
    world.assert_proved()
