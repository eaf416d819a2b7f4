"""The success criteria of the specification, one test each, on rows of the CRM.

What belongs here: the criteria, as short as they can be shown. What does not: the cases behind each
of them, which the other modules of this folder test one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ventros_pipeline.crm import ledger, lifecycle
from ventros_pipeline.crm.channels import get_channel
from ventros_pipeline.crm.enrichment import Order, enrich
from ventros_pipeline.crm.limits import Wish, last_days
from ventros_pipeline.replay.control import Fault, Request
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.waha.errors import WahaTransientError
from ventros_pipeline_tests.import_.conftest import START_A, MakeWorld
from ventros_pipeline_tests.import_.test_account_a import SKIPPED, stanza_of, status_of
from ventros_pipeline_tests.import_.world import (
    NOW,
    START,
    World,
    at,
    days_between,
    message,
    write_account,
)

ANA, BIA = "5511980000001@s.whatsapp.net", "5511980000002@s.whatsapp.net"
PRICES = {"whisper": 0.006, "vision": 0.005, "ffmpeg": 0.03, "llamaparse": 0.003}
MEDIA_URL = "https://files.example.com"
Serve = Callable[[Path], ReplayServer]
Rows = dict[str, dict[str, Any]]


@dataclass
class Accepted:
    """A world, and what could be read of its import while that ran."""

    world: World
    progress: list[dict[str, Any]] = field(default_factory=list)


def import_history(world: World, days: Sequence[date] | None = None) -> Accepted:
    """Import days as one run of the job does, and look at it from outside meanwhile."""
    days = days or world.days
    done = Accepted(world)
    importer = world.importer()
    ledger.start_run(world.engine, world.channel, importer.run_id, days[0], days[-1])
    wish = last_days(days[0], world.now.date())
    with lifecycle.taking_part(world.engine, world.channel, importer.run_id, wish) as import_id:
        lifecycle.attach_run(world.engine, world.channel, import_id, importer.run_id)
        importer.refresh_directory()
        for _ in importer.read_days(days):
            done.progress.append(progress(world))
        for _ in importer.load_days(days):
            done.progress.append(progress(world))
        ledger.end_run(world.engine, world.channel, importer.run_id)
    return done


def progress(world: World) -> dict[str, Any]:
    [shown] = world.rows(
        "SELECT c.history_import_status AS state, r.days_read, r.days_loaded, r.messages_read, "
        "(SELECT count(*) FROM messages) AS messages "
        "FROM channels AS c JOIN history_sync.runs AS r ON r.channel_id = c.id "
        "WHERE r.run_id = CAST(:run AS uuid)",
        run=world.run_ids[-1],
    )
    return shown


def messages(world: World) -> Rows:
    rows = world.rows(
        "SELECT k.stanza_id, m.*, m.timestamp AS at FROM messages AS m "
        "JOIN history_sync.message_keys AS k ON k.message_id = m.id WHERE m.deleted_at IS NULL"
    )
    found = {row["stanza_id"]: row for row in rows}
    assert len(found) == len(rows) == world.value("SELECT count(*) FROM messages")
    return found


def column(world: World, name: str) -> Any:
    return world.value(f"SELECT {name} FROM channels WHERE id = :id", id=world.channel.id)


@pytest.fixture(scope="module")
def account_a(empty_world: MakeWorld, replayed_a: ReplayServer, now_a: datetime) -> Accepted:
    """Account A with groups, imported once; tests leave its messages as they are."""
    return import_history(empty_world(replayed_a.url, start=START_A, now=now_a))


@pytest.fixture(scope="module")
def stored(account_a: Accepted) -> Rows:
    return messages(account_a.world)


@pytest.fixture(scope="module")
def said(dump_a: list[dict[str, Any]]) -> Rows:
    """What WAHA has of account A and the CRM wants, by stanza id."""
    return {stanza_of(row): row for row in dump_a if not row["chatId"].endswith(SKIPPED)}


def test_incoming_and_outgoing_messages_are_imported(stored: Rows, said: Rows) -> None:
    by_direction = Counter(row["from_me"] for row in stored.values())
    assert by_direction == Counter(row["message"]["fromMe"] for row in said.values())
    assert min(by_direction.values()) > 3000
    assert stored.keys() == said.keys()


def test_contacts_are_created_by_phone(
    account_a: Accepted, expected_a: dict[str, Any], stored: Rows
) -> None:
    world = account_a.world
    contacts = world.rows("SELECT id, phone FROM contacts WHERE phone IS NOT NULL")
    phones = {row["phone"] for row in contacts}
    assert len(phones) == len(contacts)
    by_contact = Counter(row["contact_id"] for row in stored.values())
    written = {row["phone"]: by_contact[row["id"]] for row in contacts}
    for canonical, known in expected_a["per_merged_chat"].items():
        # In groups they may have written, too.
        assert written[f"+{canonical.partition('@')[0]}"] >= known["count"]
    for chat, known in expected_a["per_chat"].items():
        if chat.endswith("@s.whatsapp.net"):
            assert written[f"+{chat.partition('@')[0]}"] >= known["count"]


def test_contacts_are_updated_by_phone(world: World, replay: Serve, tmp_path: Path) -> None:
    """The CRM knew Ana's number and nothing else; Bia's name a person typed there."""
    world.execute(
        "INSERT INTO contacts (project_id, tenant_id, name, phone) VALUES "
        "(:project, :tenant, '', '+5511980000001'), (:project, :tenant, 'Dra. Bia', "
        "'+5511980000002')",
        project=world.channel.project_id,
        tenant=world.channel.tenant_id,
    )
    ids = {row["id"] for row in world.rows("SELECT id FROM contacts")}
    book = [{"id": "5511980000001@c.us", "name": "Ana Souza"}, {"id": "5511980000002@c.us"}]
    rows = [
        (who, message(who, f"3EB0{n}", at("2026-06-02 10:00"), push_name="oi"))
        for n, who in enumerate((ANA, BIA))
    ]
    replay(write_account(tmp_path / "account", rows, contacts=book))
    import_history(world)
    found = world.rows("SELECT * FROM contacts ORDER BY phone")
    assert {row["id"] for row in found} == ids
    assert [row["name"] for row in found] == ["Ana Souza", "Dra. Bia"]
    assert {row["last_interaction_at"] for row in found} == {datetime(2026, 6, 2, 10, tzinfo=UTC)}
    assert {row["contact_id"] for row in messages(world).values()} == ids


def test_every_imported_message_has_the_channels_agent(account_a: Accepted, stored: Rows) -> None:
    agent = column(account_a.world, "default_agent_id")
    assert agent is not None
    assert {row["agent_id"] for row in stored.values()} == {agent}
    with_agent = account_a.world.value(
        "SELECT count(DISTINCT session_id) FROM agent_sessions WHERE agent_id = :agent", agent=agent
    )
    assert with_agent == account_a.world.value("SELECT count(*) FROM sessions")


def test_the_status_is_mapped_from_the_ack(stored: Rows, said: Rows) -> None:
    assert {stanza: row["status"] for stanza, row in stored.items()} == {
        stanza: status_of(row) for stanza, row in said.items()
    }
    statuses = {"queued", "sent", "delivered", "read", "played", "failed"}
    assert {row["status"] for row in stored.values()} == statuses


def test_importing_again_is_idempotent(account_a: Accepted, stored: Rows) -> None:
    world = account_a.world
    tables = ("messages", "contacts", "chats", "sessions", "agent_sessions", "trackings")

    def rows() -> dict[str, list[Any]]:
        return {t: world.rows(f"SELECT id, xmin::text FROM {t} ORDER BY 1") for t in tables}

    before = rows()
    import_history(world)
    assert rows() == before
    assert len(before["messages"]) == len(stored) > 8000
    figures = ledger.totals(world.engine, world.channel, [world.run_ids[-1]])
    assert (figures["inserted"], figures["updated"]) == (0, 0)
    assert figures["unchanged"] == len(stored)


def test_messages_keep_their_original_timestamps(stored: Rows, said: Rows) -> None:
    assert {stanza: int(row["at"].timestamp()) for stanza, row in stored.items()} == {
        stanza: row["message"]["timestamp"] for stanza, row in said.items()
    }


def test_media_gets_enrichment_rows(account_a: Accepted) -> None:
    world = account_a.world
    assert world.value("SELECT count(*) FROM message_enrichments") == 0
    world.importer().fetch_media(("image", "voice"), max_files=40)
    order = Order(prices=PRICES, media_url=MEDIA_URL, max_usd=1.0)
    asked = enrich(world.engine, world.channel, order, str(uuid4()))
    rows = world.rows(
        "SELECT e.*, m.content_type AS kind, m.from_me, g.status AS group_status "
        "FROM message_enrichments AS e JOIN messages AS m ON m.id = e.message_id "
        "JOIN message_groups AS g ON g.id = e.message_group_id"
    )
    assert len(rows) == asked.messages > 0
    for row in rows:
        assert (row["status"], row["group_status"]) == ("pending", "completed")
        assert row["content_type"] == row["kind"]
        assert row["provider"] == {"image": "vision", "voice": "whisper"}[row["kind"]]
        assert not row["from_me"]
    assert {row["kind"] for row in rows} == {"image", "voice"}


def test_messages_are_grouped_into_sessions(world: World, replay: Serve, tmp_path: Path) -> None:
    times = ("10:00", "10:05", "10:10", "15:00")
    rows = [
        (ANA, message(ANA, f"3EB0{n}", at(f"2026-06-02 {time}"))) for n, time in enumerate(times)
    ]
    replay(write_account(tmp_path / "account", rows))
    world.change_channel("session_timeout_minutes = 240")
    import_history(world)
    sessions = world.rows("SELECT started_at, message_count FROM sessions ORDER BY started_at")
    assert [(f"{row['started_at']:%H:%M}", row["message_count"]) for row in sessions] == [
        ("10:00", 3),
        ("15:00", 1),
    ]


def newest(
    rows: Rows, expected: dict[str, Any], *, since: date, per_chat: int | None
) -> dict[str, list[int]]:
    """Return the times that a limit lets through, by conversation, newest first."""
    merged = {
        chat: canonical
        for canonical, known in expected["per_merged_chat"].items()
        for chat in known["chats"]
    }
    found: dict[str, list[int]] = {}
    for row in rows.values():
        when = row["message"]["timestamp"]
        if datetime.fromtimestamp(when, UTC).date() >= since:
            found.setdefault(merged.get(row["chatId"], row["chatId"]), []).append(when)
    return {chat: sorted(times, reverse=True)[:per_chat] for chat, times in found.items()}


@pytest.mark.parametrize("per_chat", [None, 5])
def test_the_limits_of_7_days_and_per_chat_are_kept(
    per_chat: int | None,
    empty_world: MakeWorld,
    replayed_a: ReplayServer,
    expected_a: dict[str, Any],
    said: Rows,
) -> None:
    now = datetime.fromtimestamp(max(row["message"]["timestamp"] for row in said.values()), UTC)
    since = now.date() - timedelta(days=6)
    world = empty_world(replayed_a.url, start=START_A, now=now)
    lifecycle.enable(world.engine, world.channel, max_days=7, max_per_chat=per_chat)
    world.channel = get_channel(world.engine, str(world.channel.id))
    import_history(world, days_between(now.date() - timedelta(days=30), now.date()))
    kept: dict[Any, list[int]] = {}
    for row in messages(world).values():
        kept.setdefault(row["chat_id"], []).append(int(row["at"].timestamp()))
    wanted = newest(said, expected_a, since=since, per_chat=per_chat)
    assert len(wanted) > 10
    assert sorted(sorted(times, reverse=True) for times in kept.values()) == sorted(wanted.values())
    assert column(world, "history_import_stats")["total"] == sum(map(len, wanted.values()))


def test_an_import_is_incremental_by_last_import_date(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    rows = [(ANA, message(ANA, f"3EB0{day}", at(f"2026-06-{day} 10:00"))) for day in (10, 20, 28)]
    server = replay(write_account(tmp_path / "account", rows))
    assert column(world, "last_import_date") is None
    assert lifecycle.first_day(world.engine, world.channel, Wish("recent"), NOW.date()) is None
    import_history(world)
    assert column(world, "last_import_date") is not None

    server.account.put_message(ANA, message(ANA, "3EB0NEW", at("2026-06-29 10:00")))
    asked: list[int] = []

    def listen(request: Request) -> Fault | None:
        if "/messages" in request.template and "filter.timestamp.gte" in request.query:
            asked.append(int(request.query["filter.timestamp.gte"]))
        return None

    server.control.fault = listen
    first = lifecycle.first_day(world.engine, world.channel, Wish("recent"), NOW.date())
    assert first == date(2026, 6, 27) > START
    import_history(world, days_between(first, NOW.date()))
    assert min(asked) >= at("2026-06-27 00:00")
    assert len(messages(world)) == 4
    figures = ledger.totals(world.engine, world.channel, [world.run_ids[-1]])
    assert (figures["seen"], figures["inserted"], figures["unchanged"]) == (2, 1, 1)


def test_progress_is_readable_while_an_import_runs(account_a: Accepted, stored: Rows) -> None:
    shown = account_a.progress
    assert {line["state"] for line in shown} == {"importing"}
    # All of the account is loaded as one window, after it was read page by page.
    steps = {"days_read": 4, "messages_read": 4, "days_loaded": 2, "messages": 2}
    for name, least in steps.items():
        values = [line[name] for line in shown]
        assert values == sorted(values)
        assert len(set(values)) >= least
    assert shown[-1]["days_loaded"] == len(account_a.world.days)
    assert shown[-1]["messages"] == len(stored)
    assert column(account_a.world, "history_import_status") == "completed"
    stats = column(account_a.world, "history_import_stats")
    assert stats["total"] == stats["processed"] + stats["failed"] == len(stored)


def test_errors_are_kept_and_retried(world: World, replay: Serve, tmp_path: Path) -> None:
    rows = [(ANA, message(ANA, f"3EB0{day}", at(f"2026-06-0{day} 10:00"))) for day in (1, 2, 3)]
    server = replay(write_account(tmp_path / "account", rows))
    server.control.fault = lambda request: (
        Fault.error(502) if "/messages" in request.template else None
    )
    with pytest.raises(WahaTransientError) as failed:
        import_history(world)
    reason = "SELECT event_data ->> 'Reason' FROM outbox_events WHERE event_type LIKE '%.failed'"
    assert column(world, "history_import_status") == "failed"
    assert world.value("SELECT error FROM history_sync.imports") == str(failed.value)
    assert world.value(reason) == str(failed.value)
    # What passes by itself is asked again within a run; what lasts longer, by the next import.
    server.control.fault = None
    import_history(world)
    assert column(world, "history_import_status") == "completed"
    assert len(messages(world)) == 3


def test_dead_letters_are_kept_with_their_payload(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    broken = '{"timestamp":null,"body":"uma linha sem id"}'
    server = replay(
        write_account(tmp_path / "account", [(ANA, message(ANA, "3EB0", at("2026-06-02 10:00")))])
    )

    def fault(request: Request) -> Fault | None:
        unfiltered = not any(key.startswith("filter") for key in request.query)
        if "/messages" in request.template and unfiltered:
            return Fault(200, f"[{broken}]".encode(), {"content-type": "application/json"})
        return None

    server.control.fault = fault
    for times in (1, 2):
        import_history(world)
        [letter] = world.rows("SELECT * FROM history_sync.quarantine")
        assert (letter["reason"], letter["payload"]) == ("no_id", broken)
        assert letter["times_seen"] == times
        assert str(letter["last_run"]) == world.run_ids[-1]
    stats = column(world, "history_import_stats")
    assert (stats["total"], stats["processed"], stats["failed"]) == (2, 1, 1)
