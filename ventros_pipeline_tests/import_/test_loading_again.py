"""A load costs what has changed: what is as it was is counted, and neither decoded nor written."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa

from ventros_pipeline import importer as importing
from ventros_pipeline.archive import Row
from ventros_pipeline.crm import ledger
from ventros_pipeline.crm.checks import PROOFS, prove
from ventros_pipeline.crm.load import Loaded
from ventros_pipeline.crm.merging import Settled, settle_people, undo_merge
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.transform.identity import Evidence
from ventros_pipeline.transform.times import Calendar
from ventros_pipeline.waha.envelope import envelope_of
from ventros_pipeline_tests.import_.cutting import badly_cut
from ventros_pipeline_tests.import_.test_revokes import mark_of
from ventros_pipeline_tests.import_.world import (
    NOW,
    START,
    World,
    at,
    edited,
    message,
    new_world,
    write_account,
)

ANA, ANA_LID = "5511980000001@s.whatsapp.net", "210000000000001@lid"
BIA, GROUP = "5511980000002@s.whatsapp.net", "120363000000000001@g.us"
FIRST, SECOND = date(2026, 6, 2), date(2026, 6, 3)
CALENDAR = Calendar(START, NOW)
Decoded = list[int]


def said(stanza: str, time: str, chat: str = ANA, **how: Any) -> dict[str, Any]:
    return message(chat, stanza, at(f"2026-06-{time}"), **how)


def archive(world: World, *rows: dict[str, Any] | bytes, minute: int = 0) -> list[date]:
    """Archive rows, each on its day, as read in one minute; return the days."""
    found: dict[date, list[Row]] = {}
    for row in rows:
        payload = row if isinstance(row, bytes) else json.dumps(row).encode()
        envelope = envelope_of(payload)
        day = CALENDAR.day_of(envelope.timestamp)
        found.setdefault(day, []).append(Row(envelope.row_key, payload))
    read_at = NOW + timedelta(minutes=minute)
    for day, written in found.items():
        world.archive.write(world.channel.key, day, written, read_at=read_at)
    return sorted(found)


def load(world: World, days: Sequence[date], **how: Any) -> Loaded:
    """Load days in one window by a run of its own; its balance closes."""
    [loaded] = world.importer().load_days(days, **how)
    assert not world.value(
        "SELECT count(*) FROM history_sync.balance WHERE seen <> inserted + updated + unchanged "
        "+ duplicate + filtered + quarantined"
    )
    return loaded


def figures(loaded: Loaded) -> dict[str, int]:
    return {name: getattr(loaded, name) for name in ledger.COUNTS if getattr(loaded, name)}


def versions(world: World) -> dict[str, list[dict[str, Any]]]:
    """Return which version of each row stands, in every table that a load may write."""
    tables = (
        "messages",
        "sessions",
        "agent_sessions",
        "contacts",
        "chats",
        "history_sync.message_keys",
        "history_sync.loaded_days",
        "history_sync.people",
        "history_sync.identities",
        "history_sync.places",
        "history_sync.channel_state",
    )
    return {t: world.rows(f"SELECT ctid::text, xmin::text FROM {t} ORDER BY 1") for t in tables}


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Decoded:
    """How many rows each window decoded."""
    counts: Decoded = []
    decode = importing.decode_rows

    def counted(payloads: Any, *rest: Any) -> Any:
        counts.append(len(payloads))
        return decode(payloads, *rest)

    monkeypatch.setattr(importing, "decode_rows", counted)
    return counts


@pytest.fixture
def account() -> list[dict[str, Any] | bytes]:
    """Rows of every fate: messages, a copy under another id, rows left out, one not understood."""
    return [
        said("A", "02 10:00", from_me=True, ack=1),
        said("B", "02 10:05", replyTo={"id": "A"}),
        said("B", "02 10:05") | {"id": "false_5511980000001@c.us_B_2"},
        said("G", "02 11:00", GROUP, participant=BIA),
        said("S", "02 12:00", "status@broadcast", participant=BIA),
        b'{"id": 7, "timestamp": %d}' % at("2026-06-02 13:00"),
        said("C", "03 10:00", BIA, push_name="Bia"),
    ]


# -- nothing has changed --------------------------------------------------------------------------


def test_what_is_as_it_was_is_neither_decoded_nor_written_and_counted_as_before(
    world: World, account: list[Any], decoded: Decoded
) -> None:
    days = archive(world, *account)
    first = load(world, days)
    standing = versions(world)
    again = load(world, days)
    assert decoded == [7, 1]  # Only what nobody understood is tried again.
    assert versions(world) == standing
    assert figures(again) == {
        "seen": first.seen,
        "unchanged": first.inserted,
        "duplicate": first.duplicate,
        "filtered": 1,
        "quarantined": 1,
    }
    assert (again.filtered_reasons, again.quarantine_reasons) == (
        first.filtered_reasons,
        first.quarantine_reasons,
    )
    assert again.by_day.keys() == {FIRST, SECOND}


def test_one_changed_status_is_one_row_decoded_and_one_row_written(
    world: World, decoded: Decoded
) -> None:
    days = archive(
        world,
        said("A", "02 10:00", from_me=True, ack=1),
        said("B", "02 10:05"),
        said("C", "02 10:00", BIA),
        said("D", "03 10:00", BIA),
    )
    load(world, days)
    keys = "SELECT stanza_id, xmin::text FROM history_sync.message_keys ORDER BY 1"
    rows = (
        "SELECT k.stanza_id, m.xmin::text FROM messages AS m "
        "JOIN history_sync.message_keys AS k ON k.message_id = m.id ORDER BY 1"
    )
    before = world.rows(keys), world.rows(rows)
    archive(world, said("A", "02 10:00", from_me=True, ack=3), minute=5)
    assert figures(load(world, days)) == {"seen": 4, "updated": 1, "unchanged": 3}
    assert decoded == [4, 2]  # The row's two versions.
    assert world.value("SELECT status FROM messages WHERE from_me") == "read"
    for was, now in zip(before, (world.rows(keys), world.rows(rows)), strict=True):
        assert [row["stanza_id"] for row in now if row not in was] == ["A"]


@contextmanager
def statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Count what is sent to the server."""
    sent: list[str] = []
    execute = psycopg.Cursor.execute

    def counted(self: Any, query: Any, *rest: Any, **named: Any) -> Any:
        sent.append(str(query)[:60])
        return execute(self, query, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", counted)
        yield sent


@pytest.mark.parametrize("again", [False, True])
def test_a_window_takes_as_many_statements_however_many_days_and_rows_it_has(
    world: World, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    def month(number: int, days: int, rows: int) -> list[date]:
        return archive(
            world,
            *(
                said(f"{number}-{day}-{row}", f"{day:02} 10:{row:02}", from_me=row % 2 == 0, ack=1)
                for day in range(number, number + days)
                for row in range(rows)
            ),
            *(
                b'{"id": %d, "timestamp": %d}' % (n, at(f"2026-06-{number:02} 13:00"))
                for n in range(rows)
            ),
        )

    load(world, archive(world, said("0", "01 10:00")))
    sent = []
    for number, days, rows in ((2, 1, 2), (10, 12, 9)):
        found = month(number, days, rows)
        if again:
            load(world, found)
        with statements(monkeypatch) as counted:
            list(world.importer().load_days(found))
        sent.append(counted)
    assert sent[0] == sent[1]


def test_sessions_are_cut_around_what_a_load_brings_as_if_all_had_been_cut_anew(
    world: World,
) -> None:
    """One conversation in windows of any order, beside sessions of the CRM that open and grow."""
    random = Random(7)  # noqa: S311 -- no secret
    load(world, archive(world, said("0", "01 10:00")))
    sent: list[dict[str, Any]] = []
    for number in range(1, 35):
        rows = [
            said(
                f"{number}-{n}",
                f"{random.randint(1, 3):02} {random.randint(0, 11):02}:{random.randint(0, 59):02}",
                from_me=random.random() < 0.5,
            )
            for n in range(random.randint(1, 4))
        ]
        sent += rows
        if random.random() < 0.3:
            row = random.choice(sent)
            rows.append(edited(row, "de novo", row["timestamp"] + random.randint(1, 90_000)))
        if random.random() < 0.2:
            rows.append(
                mark_of(random.choice(sent), at(f"2026-06-{random.randint(1, 3):02} 09:00"))
            )
        if random.random() < 0.2:
            world.execute(
                "INSERT INTO sessions (contact_id, tenant_id, started_at, last_activity_at) "
                "SELECT id, tenant_id, t, t FROM contacts, "
                "(SELECT timestamp + interval '25 minutes' AS t FROM messages "
                "ORDER BY md5(id::text || :number) LIMIT 1) AS near",
                number=str(number),
            )
        if random.random() < 0.2:
            world.execute(
                "UPDATE sessions SET last_activity_at = last_activity_at + interval '20 minutes' "
                "WHERE id NOT IN (SELECT session_id FROM history_sync.sessions)"
            )
        load(world, archive(world, *rows, minute=number))
        assert not badly_cut(world.engine, world.channel), number
    assert world.value("SELECT count(*) FROM sessions") > 5
    world.assert_proved()


# -- what a load remembers does not outlive what it is about --------------------------------------


def test_a_message_that_the_crm_deleted_for_good_comes_back(world: World) -> None:
    days = archive(world, said("A", "02 10:00"), said("B", "02 10:05"), said("C", "03 10:00"))
    load(world, days)
    world.execute(
        "DELETE FROM messages WHERE id IN "
        "(SELECT message_id FROM history_sync.message_keys WHERE stanza_id = 'A')"
    )
    assert figures(load(world, days)) == {"seen": 3, "inserted": 1, "unchanged": 2}
    assert figures(load(world, days)) == {"seen": 3, "unchanged": 3}


@pytest.mark.parametrize("first", [FIRST, SECOND])
def test_a_message_of_two_days_comes_back_with_what_both_say_of_it(
    world: World, first: date
) -> None:
    row = said("A", "02 10:00")
    days = archive(world, row)
    archive(world, edited(row, "mudado", at("2026-06-03 09:00")), minute=5)
    load(world, [FIRST, SECOND])
    seen = "SELECT text, \"timestamp\", metadata ->> 'edited' AS edited FROM messages"
    whole = world.rows(seen)
    assert [r["text"] for r in whole] == ["mudado"]
    world.execute("DELETE FROM messages")
    for day in (first, FIRST if first == SECOND else SECOND):
        load(world, [day])
    assert world.rows(seen) == whole
    assert days == [FIRST]


def test_rows_of_two_days_are_known_too(world: World, decoded: Decoded) -> None:
    row = said("A", "02 10:00")
    archive(world, row, said("B", "02 10:05"))
    archive(world, edited(row, "mudado", at("2026-06-03 09:00")), minute=5)
    load(world, [FIRST, SECOND])
    load(world, [FIRST, SECOND])
    load(world, [SECOND])
    assert decoded == [3, 0, 0]


def test_what_came_while_a_person_had_deleted_a_row_counts_when_it_is_brought_back(
    world: World,
) -> None:
    days = archive(world, said("A", "02 10:00", from_me=True, ack=1))
    load(world, days)
    world.execute("UPDATE messages SET deleted_at = now()")
    archive(world, said("A", "02 10:00", from_me=True, ack=3), minute=5)
    load(world, days)
    load(world, days)
    world.execute("UPDATE messages SET deleted_at = NULL")
    assert world.value("SELECT status FROM messages") == "sent"
    load(world, days)
    assert world.value("SELECT status FROM messages") == "read"


def test_what_lay_in_the_future_is_looked_at_until_it_does_not(world: World) -> None:
    row = message(ANA, "A", int((NOW + timedelta(days=3)).timestamp()))
    assert archive(world, row, said("B", "01 10:00")) == [START]
    load(world, [START])
    assert world.value("SELECT count(*) FROM messages WHERE metadata ? 'timestamp_problem'") == 1
    list(world.importer(now=NOW + timedelta(days=4)).load_days([START]))
    assert world.value("SELECT count(*) FROM history_sync.message_keys WHERE time_trusted") == 2


def test_other_settings_look_at_every_row_again(world: World, decoded: Decoded) -> None:
    world.change_channel("allow_groups = false")
    days = archive(world, said("A", "02 10:00"), said("G", "02 11:00", GROUP, participant=BIA))
    assert figures(load(world, days)) == {"seen": 2, "inserted": 1, "filtered": 1}
    world.change_channel("allow_groups = true")
    assert figures(load(world, days)) == {"seen": 2, "inserted": 1, "unchanged": 1}
    assert decoded == [2, 2]


def test_a_cap_counts_the_rows_of_each_chat_and_looks_at_all_of_them(world: World) -> None:
    days = archive(world, *(said(f"M{n}", f"02 10:0{n}") for n in range(4)))
    load(world, days)
    capped = load(world, days, max_per_chat=3)
    assert figures(capped) == {"seen": 4, "unchanged": 3, "filtered": 1}
    assert figures(load(world, days)) == {"seen": 4, "unchanged": 4}


def test_a_forced_load_mends_what_was_changed_by_hand(world: World, decoded: Decoded) -> None:
    days = archive(world, said("A", "02 10:00", from_me=True, ack=3), said("B", "02 10:05"))
    load(world, days)
    world.execute("UPDATE messages SET status = 'queued' WHERE from_me")
    assert figures(load(world, days)) == {"seen": 2, "unchanged": 2}
    assert figures(load(world, days, force=True)) == {"seen": 2, "updated": 1, "unchanged": 1}
    assert decoded == [2, 0, 2]
    assert world.value("SELECT status FROM messages WHERE from_me") == "read"


def test_a_row_of_the_crm_takes_the_place_of_ours_though_no_row_has_changed(world: World) -> None:
    days = archive(world, said("A", "02 10:00"), said("B", "02 10:05"))
    load(world, days)
    world.execute(
        "INSERT INTO messages (id, tenant_id, timestamp, user_id, project_id, channel_type_id, "
        "from_me, channel_id, chat_id, contact_id, content_type, text, channel_message_id, status, "
        "source, created_at) "
        "SELECT gen_random_uuid(), tenant_id, timestamp, user_id, project_id, channel_type_id, "
        "from_me, channel_id, chat_id, contact_id, content_type, text, 'A', status, 'webhook', "
        "now() FROM messages WHERE channel_message_id LIKE '%\\_A'"
    )
    load(world, days)
    found = world.rows(
        "SELECT source, deleted_at IS NULL AS is_live FROM messages "
        "WHERE channel_message_id LIKE '%A' ORDER BY 1"
    )
    assert found == [
        {"source": "history_import", "is_live": False},
        {"source": "webhook", "is_live": True},
    ]
    assert figures(load(world, days)) == {"seen": 2, "unchanged": 2}


# -- people ---------------------------------------------------------------------------------------


def test_a_new_name_in_the_address_book_reaches_who_only_writes_in_groups(
    world: World, replay: Callable[[Path], ReplayServer], tmp_path: Path
) -> None:
    rows = [(GROUP, said("G", "02 11:00", GROUP, participant=BIA))]
    named = {"id": BIA.replace("s.whatsapp.net", "c.us"), "name": "Bia do bairro"}
    replay(write_account(tmp_path / "before", rows))
    world.import_days()
    name = "SELECT name FROM contacts WHERE phone IS NOT NULL"
    assert world.value(name) == "+55 11 98000-0002"
    replay(write_account(tmp_path / "after", rows, contacts=[named]))
    figures = world.import_days(now=NOW + timedelta(hours=2))
    assert (world.value(name), figures["unchanged"]) == ("Bia do bairro", 1)
    assert figures["contacts_created"] == 0


def halves(world: World) -> list[date]:
    """Load an incoming message under both addresses of one person, and one of somebody else."""
    days = archive(world, said("A", "02 10:00"), said("A", "02 10:00", ANA_LID))
    return days + archive(world, said("C", "03 10:00", BIA))


def learn(world: World) -> Settled:
    known = Evidence(ANA_LID, ANA.replace("s.whatsapp.net", "c.us"), "lids", NOW)
    return settle_people(world.engine, world.channel, str(uuid4()), [known])


def test_a_settling_that_was_cut_off_after_a_load_is_made_good_by_the_next_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = halves(world)

    def killed(engine: Any, channel: Any, run_id: str, evidence: Any = None) -> Settled:
        if evidence is None:
            raise InterruptedError
        return settle_people(engine, channel, run_id, evidence)

    with monkeypatch.context() as patch:
        patch.setattr(importing, "settle_people", killed)
        with pytest.raises(InterruptedError):
            load(world, days)
    live = "SELECT count(*) FROM messages WHERE deleted_at IS NULL"
    assert world.value(live) == 3
    load(world, days)
    assert world.value(live) == 2
    assert not world.value("SELECT settle_due FROM history_sync.channel_state")


def test_a_merge_forgets_the_days_of_its_messages_and_a_split_forgets_every_day(
    world: World,
) -> None:
    days = archive(world, said("A", "02 10:00"), said("B", "02 10:05", ANA_LID))
    days += archive(world, said("C", "03 10:00", BIA))
    load(world, days)
    remembered = "SELECT day FROM history_sync.loaded_days ORDER BY 1"
    assert learn(world) == Settled(merged=1)
    assert world.rows(remembered) == [{"day": SECOND}]
    load(world, days)
    assert world.rows(remembered) == [{"day": FIRST}, {"day": SECOND}]
    merge = world.value("SELECT merge_id::text FROM history_sync.merges")
    assert undo_merge(world.engine, world.channel, str(merge), str(uuid4())) == Settled(split=1)
    assert world.rows(remembered) == []


def test_a_message_that_was_one_under_both_addresses_is_two_again_after_a_split(
    world: World,
) -> None:
    days = archive(world, said("A", "02 10:00", from_me=True), said("B", "02 10:05", ANA_LID))
    load(world, days)
    assert learn(world) == Settled(merged=1)
    archive(world, said("A", "02 10:00", ANA_LID, from_me=True), minute=5)
    assert figures(load(world, days)) == {"seen": 3, "unchanged": 2, "duplicate": 1}
    assert figures(load(world, days)) == {"seen": 3, "unchanged": 2, "duplicate": 1}
    merge = world.value("SELECT merge_id::text FROM history_sync.merges")
    undo_merge(world.engine, world.channel, str(merge), str(uuid4()))
    assert figures(load(world, days)) == {"seen": 3, "inserted": 1, "unchanged": 2}


def test_memory_that_fails_while_the_window_is_made_loads_it_as_a_whole(
    world: World, monkeypatch: pytest.MonkeyPatch, decoded: Decoded
) -> None:
    days = archive(world, said("A", "02 10:00"), said("B", "02 10:05"))
    load(world, days)
    load_window = importing.load_window
    deletions: list[int] = []

    def late(*arguments: Any) -> Loaded:
        if not deletions:
            deletions.append(world.execute("DELETE FROM messages WHERE text = 'oi'"))
        return load_window(*arguments)

    monkeypatch.setattr(importing, "load_window", late)
    assert figures(load(world, days)) == {"seen": 2, "inserted": 2}
    assert (decoded, deletions) == ([2, 0, 2], [2])


# -- beside another channel --------------------------------------------------------------------


def test_a_second_channel_is_loaded_and_proved_without_walking_over_it_for_each_message(
    world: World, tmp_path: Path
) -> None:
    """Of a channel that it has not counted Postgres expects no rows, so any index seems to do."""

    def looked_at_by(channel: World) -> int:
        days = archive(
            channel,
            *(
                said(f"3EB0{day}{n:05d}", f"{day:02d}T12:{n // 60:02d}:{n % 60:02d}")
                for day in (2, 3)
                for n in range(1_000)
            ),
        )
        before = index_entries_read(world)
        for day in days:
            load(channel, [day])
        for proof in PROOFS:
            assert not prove(world.engine, channel.channel, proof, days=days).found
        return index_entries_read(world) - before

    alone = looked_at_by(world)
    with world.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        session.execute(sa.text("VACUUM ANALYZE"))
    other = new_world(world.engine, tmp_path / "other", "http://127.0.0.1:10")
    assert looked_at_by(other) < 2 * alone


def test_a_merge_reads_what_moves_and_not_the_channel(world: World) -> None:
    crowd = [
        said(
            f"3EB1{n:05d}",
            f"{2 + n // 1000:02d}T{n % 24:02d}:{n % 60:02d}",
            f"55119800{n % 50:05d}@s.whatsapp.net",
        )
        for n in range(3_000)
    ]
    halves = [said("3EB00", "02T10:00"), said("3EB01", "02T10:01", ANA_LID, replyTo={"id": "x"})]
    load(world, archive(world, *crowd, *halves))
    with world.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        session.execute(sa.text("VACUUM ANALYZE"))
    before = rows_read(world)
    known = Evidence(ANA_LID, "5511980000001@c.us", "lids", NOW)
    assert settle_people(world.engine, world.channel, str(uuid4()), [known]) == Settled(merged=1)
    assert 0 < rows_read(world) - before < len(crowd)


def index_entries_read(world: World) -> int:
    """Return how many entries of messages' indexes were ever read."""
    return counted(world, "sum(idx_tup_read) FROM pg_stat_user_indexes")


def rows_read(world: World) -> int:
    """Return how many rows of messages and their keys were ever read, in whatever way."""
    return counted(world, "sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_user_tables")


def counted(world: World, what: str) -> int:
    """Return what the server has counted of messages; a session tells as it ends."""
    world.engine.dispose()
    deadline = time.monotonic() + 10
    while world.value(
        "SELECT count(*) > 1 FROM pg_stat_activity WHERE datname = current_database()"
    ):
        assert time.monotonic() < deadline
    return int(world.value(f"SELECT {what} WHERE relname IN ('messages', 'message_keys')"))
