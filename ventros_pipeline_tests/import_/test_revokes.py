"""A message deleted for everyone is a tombstone in the CRM, and nothing is deleted for good."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ventros_pipeline.archive import Row
from ventros_pipeline.crm.database import connect
from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.replay.stored import Stored
from ventros_pipeline.transform.times import Calendar
from ventros_pipeline.waha.envelope import envelope_of
from ventros_pipeline_tests.conftest import fresh_database
from ventros_pipeline_tests.import_.conftest import START_A, MakeWorld
from ventros_pipeline_tests.import_.test_people import live_message
from ventros_pipeline_tests.import_.world import (
    KEY,
    NOW,
    START,
    World,
    at,
    days_between,
    edited,
    message,
    new_world,
    shown,
    write_account,
)

ANA, BIA = "5511980000001@s.whatsapp.net", "5511980000002@s.whatsapp.net"
GROUP = "120363000000000001@g.us"
MORNING = at("2026-06-02 10:00")
DAY = date(2026, 6, 2)
DAYS = days_between(START, date(2026, 6, 4))
CALENDAR = Calendar(START, NOW)
Serve = Callable[..., ReplayServer]


@pytest.fixture
def serve(world: World, tmp_path: Path) -> Iterator[Serve]:
    """Serves messages by an engine, and points the test's channel at it."""
    servers: list[ReplayServer] = []

    def start(rows: Sequence[tuple[str, dict[str, Any]]], engine: str = "noweb") -> ReplayServer:
        folder = write_account(tmp_path / f"account{len(servers)}", rows)
        servers.append(ReplayServer(folder, api_key=KEY, engine=engine).start())
        world.change_channel(
            f"config = config || jsonb_build_object('base_url', '{servers[-1].url}'::text)"
        )
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def talk(*stanzas: str, chat: str = ANA, start: int = MORNING) -> list[tuple[str, dict[str, Any]]]:
    """Return one text after the other, a minute apart."""
    return [
        (chat, message(chat, stanza, start + 60 * n, f"texto {stanza}"))
        for n, stanza in enumerate(stanzas)
    ]


def read_again(world: World, times: int = 1) -> dict[str, int]:
    """Import everything so many times, each a minute after the one before; return the last."""
    for _ in range(times):
        figures = world.import_days(DAYS, now=NOW + timedelta(minutes=len(world.run_ids)))
    return figures


def revoke(server: ReplayServer, stanza: str) -> None:
    """Delete a message for everyone, as the server's engine does."""
    found = server.account.row(stanza)
    assert found is not None
    row = Stored.parse(found[1])
    assert server.account.revoke(stanza)
    mark = server.engine.revoked(row, f"{stanza}MARK", MORNING + 3600)
    if mark is not None:
        server.account.put_message(row.chat, mark)


def rows(world: World) -> dict[str, dict[str, Any]]:
    """Return the CRM's rows by stanza id."""
    found = world.rows(
        "SELECT k.stanza_id, m.*, m.metadata -> 'revoked' AS revoked FROM messages AS m "
        "LEFT JOIN history_sync.message_keys AS k ON k.message_id = m.id"
    )
    return {row["stanza_id"]: row for row in found}


def deleted(world: World) -> set[str]:
    """Return the stanza ids of rows that the CRM takes for deleted."""
    return {stanza for stanza, row in rows(world).items() if row["deleted_at"]}


def assert_sessions_count_what_is_there(world: World) -> None:
    assert not world.rows(
        "SELECT s.id FROM sessions AS s LEFT JOIN messages AS m "
        "ON m.session_id = s.id AND m.deleted_at IS NULL "
        "GROUP BY s.id HAVING count(m.id) <> s.message_count"
    )
    assert not world.value(
        "SELECT count(*) FROM history_sync.balance WHERE seen <> inserted + updated + unchanged "
        "+ duplicate + filtered + quarantined"
    )
    world.assert_proved()


# -- by absence (NOWEB, GOWS) ---------------------------------------------------------------------


@pytest.mark.parametrize("waha", ["noweb", "gows"])
def test_a_message_missed_by_two_reads_of_a_settled_day_becomes_a_tombstone(
    world: World, serve: Serve, waha: str
) -> None:
    server = serve(talk("A", "B", "C"), waha)
    read_again(world, 2)
    before = rows(world)
    revoke(server, "B")
    read_again(world)
    assert rows(world) == before  # The first look is only remembered.
    figures = read_again(world)
    assert (figures["seen"], figures["updated"], figures["unchanged"]) == (3, 1, 2)
    gone = rows(world)["B"]
    moment = NOW + timedelta(minutes=3)
    assert gone["deleted_at"] == moment
    assert gone["revoked"] == {"by": "absence", "at": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}
    assert gone["text"] == "texto B"
    assert deleted(world) == {"B"}
    [session] = world.rows("SELECT message_count, messages_from_contact FROM sessions")
    assert set(session.values()) == {2}
    assert_sessions_count_what_is_there(world)


def day_file(world: World) -> Path:
    return world.home / "archive" / world.archive.name(world.channel.key, DAY)


def test_a_tombstone_is_not_rewritten_and_the_archive_is_left_alone(
    world: World, serve: Serve
) -> None:
    server = serve(talk("A", "B", "C"))
    read_again(world, 2)
    revoke(server, "B")
    read_again(world, 2)
    before, file = rows(world), day_file(world).stat()
    figures = read_again(world, 2)
    assert (figures["updated"], figures["unchanged"]) == (0, 3)
    assert rows(world) == before
    assert day_file(world).stat().st_mtime_ns == file.st_mtime_ns


def test_reads_before_a_day_was_settled_prove_nothing(world: World, serve: Serve) -> None:
    server = serve(talk("A", "B", "C"))
    read_again(world)
    revoke(server, "B")
    read_again(world, 2)  # One settles the day, the next one misses the message.
    assert not deleted(world)
    read_again(world)
    assert deleted(world) == {"B"}


def test_reads_of_some_chats_prove_nothing(world: World, serve: Serve) -> None:
    server = serve([*talk("A", "B"), *talk("X", chat=BIA)])
    read_again(world, 2)
    revoke(server, "B")
    for minute in range(10, 14):
        importer = world.importer(now=NOW + timedelta(minutes=minute))
        list(importer.read_days(DAYS, chats=[ANA]))
        list(importer.load_days(DAYS, partial=True))
    assert not deleted(world)
    read_again(world, 2)
    assert deleted(world) == {"B"}


def test_the_same_read_twice_is_one_look(world: World, serve: Serve) -> None:
    server = serve(talk("A", "B", "C"))
    read_again(world, 2)
    revoke(server, "B")
    for _ in range(2):
        world.import_days(DAYS, now=NOW + timedelta(minutes=9))
    assert not deleted(world)


def test_an_edit_that_moves_a_message_to_another_day_is_no_revoke(
    world: World, serve: Serve
) -> None:
    late = at("2026-06-02 23:55")
    account = [*talk("A", "B"), *talk("E", start=late), *talk("X", start=late + 3600)]
    server = serve(account)
    read_again(world, 2)
    server.account.put_message(ANA, edited(account[2][1], "corrigido", late + 600))
    read_again(world, 4)
    assert not deleted(world)
    assert rows(world)["E"]["text"] == "corrigido"
    revoke(server, "E")
    read_again(world, 2)
    assert deleted(world) == {"E"}
    assert_sessions_count_what_is_there(world)


def test_a_message_that_moved_to_the_other_address_of_its_person_is_not_absent(
    world: World, serve: Serve
) -> None:
    lid = "210000000000001@lid"
    serve(talk("A", "B", "C"))
    read_again(world, 2)
    alt = {"remoteJidAlt": ANA}
    moved = [(lid, message(lid, "B", MORNING + 60, "texto B", key=alt))]
    serve([*talk("A"), *moved, (ANA, talk("A", "B", "C")[2][1])])
    read_again(world, 4)
    assert not deleted(world)


def test_a_message_seen_again_is_taken_back_and_a_later_revoke_counts_anew(
    world: World, serve: Serve
) -> None:
    account = talk("A", "B", "C")
    server = serve(account)
    read_again(world, 2)
    before = rows(world)
    revoke(server, "B")
    read_again(world, 2)
    assert deleted(world) == {"B"}
    server.account.put_message(ANA, account[1][1])
    assert read_again(world)["updated"] == 1
    now = rows(world)
    assert now.pop("B") == before.pop("B") | {"updated_at": rows(world)["B"]["updated_at"]}
    assert now == before
    assert_sessions_count_what_is_there(world)
    revoke(server, "B")
    read_again(world)
    assert not deleted(world)
    read_again(world)
    assert deleted(world) == {"B"}


def test_a_message_of_which_nothing_else_is_left_takes_its_session_along(
    world: World, serve: Serve
) -> None:
    server = serve([*talk("A"), *talk("X", "Y", chat=BIA)])
    read_again(world, 2)
    assert world.value("SELECT count(*) FROM sessions") == 2
    revoke(server, "A")
    read_again(world, 2)
    assert deleted(world) == {"A"}
    assert world.value("SELECT count(*) FROM sessions") == 1
    assert_sessions_count_what_is_there(world)


def test_a_day_that_vanishes_as_a_whole_is_the_stores_trouble(world: World, serve: Serve) -> None:
    server = serve([*talk("A", "B"), *talk("X", "Y", start=MORNING + 86_400)])
    read_again(world, 2)
    revoke(server, "A")
    revoke(server, "B")
    for minute in (10, 11, 12):
        importer = world.importer(now=NOW + timedelta(minutes=minute))
        assert sum(day.vanished for day in importer.read_days(DAYS)) == 2
        [note] = importer.notes
        assert "2 known messages of 1 days" in note
        [loaded] = importer.load_days(DAYS)
        assert loaded.doubted == {DAY: 2}
    assert not deleted(world)
    for row in talk("A", "B"):
        server.account.put_message(*row)
    importer = world.importer(now=NOW + timedelta(minutes=13))
    list(importer.read_days(DAYS))
    assert [loaded.doubted for loaded in importer.load_days(DAYS)] == [{}]
    assert importer.notes == []


@pytest.mark.parametrize(("missing", "are_revokes"), [(10, True), (11, False)])
def test_more_than_half_of_many_rows_at_once_are_no_revokes(
    world: World, serve: Serve, missing: int, are_revokes: bool
) -> None:
    stanzas = [f"3EB0{n:04}" for n in range(20)]
    server = serve(talk(*stanzas))
    read_again(world, 2)
    for stanza in stanzas[:missing]:
        revoke(server, stanza)
    read_again(world, 3)
    assert deleted(world) == (set(stanzas[:missing]) if are_revokes else set())


def test_what_no_read_ever_showed_is_never_missed(world: World, serve: Serve) -> None:
    live = live_message(world, "false_5511980000001@c.us_LIVE")
    serve(talk("A", "B"))
    read_again(world, 5)
    assert not world.value("SELECT deleted_at FROM messages WHERE id = :id", id=live)


def test_a_message_of_the_webhook_that_reads_showed_and_then_missed_is_a_tombstone(
    world: World, serve: Serve
) -> None:
    live_message(world, "B")
    server = serve(talk("A", "B", "C"))
    read_again(world, 2)
    assert rows(world)["B"]["source"] == "webhook"
    revoke(server, "B")
    read_again(world, 2)
    assert deleted(world) == {"B"}


# -- a person has the last word -------------------------------------------------------------------


@pytest.mark.parametrize("waha", ["noweb", "webjs"])
def test_a_row_that_a_person_brought_back_stays(world: World, serve: Serve, waha: str) -> None:
    server = serve(talk("A", "B", "C"), waha)
    read_again(world, 2)
    revoke(server, "B")
    read_again(world, 2)
    assert deleted(world) == {"B"}
    world.execute("UPDATE messages SET deleted_at = NULL")
    read_again(world, 2)
    assert not deleted(world)
    assert_sessions_count_what_is_there(world)


@pytest.mark.parametrize("waha", ["noweb", "webjs"])
def test_a_row_that_a_person_deleted_is_left_alone(world: World, serve: Serve, waha: str) -> None:
    account = talk("A", "B", "C")
    server = serve(account, waha)
    read_again(world, 2)
    world.execute("UPDATE messages SET deleted_at = '2026-06-29' WHERE text = 'texto B'")
    before = rows(world)["B"]
    revoke(server, "B")
    read_again(world, 3)
    assert rows(world)["B"] == before
    server.account.put_message(ANA, account[1][1])
    read_again(world)
    assert rows(world)["B"] == before


# -- by a row that says so (WEBJS, WPP) -----------------------------------------------------------


@pytest.mark.parametrize("waha", ["webjs", "wpp"])
def test_a_row_that_says_revoked_makes_a_tombstone_and_is_no_message_of_its_own(
    world: World, serve: Serve, waha: str
) -> None:
    server = serve([*talk("A", "B", "C"), *talk("D", start=MORNING + 86_400)], waha)
    read_again(world)
    revoke(server, "B")
    figures = read_again(world)
    # The message and the row that names it are one message now, and both changed it.
    assert (figures["seen"], figures["inserted"], figures["updated"]) == (5, 0, 2)
    found = rows(world)
    assert set(found) == {"A", "B", "C", "D"}
    assert deleted(world) == {"B"}
    moment = NOW + timedelta(minutes=1)
    assert found["B"]["revoked"] == {"by": "row", "at": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}
    assert (found["B"]["text"], found["B"]["content_type"]) == ("texto B", "text")
    assert_sessions_count_what_is_there(world)
    again = read_again(world, 2)
    assert (again["updated"], again["unchanged"], again["duplicate"]) == (0, 5, 0)
    assert rows(world) == found


@pytest.mark.parametrize("waha", ["webjs", "wpp"])
def test_absence_alone_proves_nothing_where_a_revoke_leaves_a_row(
    world: World, serve: Serve, waha: str
) -> None:
    server = serve(talk("A", "B", "C"), waha)
    read_again(world, 2)
    assert server.account.revoke("B")
    read_again(world, 3)
    assert not deleted(world)


def test_a_revoke_of_a_message_that_nobody_read_is_kept_until_the_message_comes(
    world: World, serve: Serve
) -> None:
    account = talk("A", "B", "C")
    server = serve(account, "webjs")
    revoke(server, "B")
    figures = read_again(world, 2)
    assert (figures["seen"], figures["unchanged"]) == (3, 3)
    kept = rows(world)["B"]
    assert (kept["content_type"], kept["text"], kept["deleted_at"]) == ("system", None, None)
    assert_sessions_count_what_is_there(world)
    server.account.put_message(ANA, account[1][1])
    read_again(world)
    found = rows(world)
    assert set(found) == {"A", "B", "C"}
    assert found["B"]["id"] == kept["id"]
    assert found["B"]["text"] == "texto B"
    assert found["B"]["channel_message_id"] == f"false_{shown(ANA)}_B"
    assert found["B"]["revoked"]["by"] == "row"
    assert deleted(world) == {"B"}
    assert_sessions_count_what_is_there(world)


def test_what_whatsapp_said_itself_is_never_taken_back(world: World, serve: Serve) -> None:
    account = talk("A", "B", "C")
    server = serve(account, "webjs")
    read_again(world)
    revoke(server, "B")
    read_again(world)
    assert server.account.revoke("BMARK")
    server.account.put_message(ANA, account[1][1])
    read_again(world, 2)
    serve(account)  # The account moves to an engine that still has the message.
    read_again(world, 2)
    assert deleted(world) == {"B"}


def test_whatsapps_word_replaces_what_was_only_missed(world: World, serve: Serve) -> None:
    account = talk("A", "B", "C")
    server = serve(account)
    read_again(world, 2)
    revoke(server, "B")
    read_again(world, 2)
    assert rows(world)["B"]["revoked"]["by"] == "absence"
    server = serve(account, "webjs")
    revoke(server, "B")
    read_again(world)
    assert rows(world)["B"]["revoked"]["by"] == "row"
    assert deleted(world) == {"B"}
    assert_sessions_count_what_is_there(world)


# -- the order of loads is no matter --------------------------------------------------------------


@pytest.fixture(scope="module")
def scratch(
    postgres_server: EmbeddedServer, migrated_template: str, tmp_path_factory: Any
) -> Iterator[World]:
    """A world that is emptied again and again."""
    with fresh_database(postgres_server.url, migrated_template) as url:
        engine = connect(url)
        yield new_world(engine, tmp_path_factory.mktemp("home"), "http://127.0.0.1:9")
        engine.dispose()


def mark_of(row: dict[str, Any], timestamp: int, revoker: str | None = None) -> dict[str, Any]:
    """Return the row that WEBJS puts in the place of a revoked one.

    Args:
        revoker: another member of the group than the message's own writer.
    """
    chat, stanza = row["from"], row["_data"]["key"]["id"]
    key = {"fromMe": row["fromMe"], "remote": chat, "id": stanza, "_serialized": row["id"]}
    own = key | {"id": f"{stanza}MARK"}
    name = f"{str(row['fromMe']).lower()}_{chat}_{stanza}MARK"
    mark: dict[str, Any] = {"timestamp": timestamp, "from": chat, "fromMe": row["fromMe"]}
    if "participant" in row:
        writer = shown(revoker) if revoker else row["participant"]
        mark |= {"participant": writer}
        own |= {"participant": writer}
        name += f"_{writer}"
    data = {"type": "revoked", "id": own | {"_serialized": name}, "protocolMessageKey": key}
    return mark | {"id": name, "body": "", "ack": 1, "hasMedia": False, "_data": data}


def archive(world: World, found: Sequence[dict[str, Any]]) -> list[date]:
    """Put rows into the archive as a reader would, each on its day; return the days."""
    shutil.rmtree(world.home, ignore_errors=True)
    days = set()
    for number, row in zip(count(), found, strict=False):
        payload = json.dumps(row).encode()
        envelope = envelope_of(payload)
        day = CALENDAR.day_of(envelope.timestamp)
        read_at = NOW - timedelta(days=1) + timedelta(minutes=number)
        line = Row(envelope.row_key, payload)
        world.archive.write(world.channel.key, day, [line], read_at=read_at)
        days.add(day)
    return sorted(days)


def empty(world: World) -> None:
    """Take everything out that an import brought in."""
    world.execute("TRUNCATE contacts, chats, sessions, messages, history_sync.balance CASCADE")


def load(world: World, windows: Sequence[Sequence[date]]) -> list[dict[str, Any]]:
    """Empty the CRM, load these windows one after the other, and return all that it holds then."""
    empty(world)
    for days in windows:
        list(world.importer().load_days(days))
    assert_sessions_count_what_is_there(world)
    return stored(world)


def stored(world: World) -> list[dict[str, Any]]:
    """Return messages, keys and sessions, without the moments and runs of writing."""
    return world.rows(
        """
        SELECT (to_jsonb(m) - '{created_at,updated_at}'::text[])::text AS message,
            (to_jsonb(k) - '{inserted_by_run,changed_by_run}'::text[])::text AS key,
            (to_jsonb(s) - '{created_at,updated_at,version}'::text[])::text AS session
        FROM messages AS m
        LEFT JOIN history_sync.message_keys AS k ON k.message_id = m.id
        LEFT JOIN sessions AS s ON s.id = m.session_id
        ORDER BY m.id
        """
    )


@st.composite
def revoked_talks(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw messages over some days, some of them edited, some revoked, in any order of reading."""
    found: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 4))):
        time = MORNING + draw(st.integers(0, 3)) * 86_400 + number * 60
        group = draw(st.booleans())
        row = message(
            GROUP if group else ANA,
            f"3EB0{number:04}",
            time,
            f"texto {number}",
            from_me=draw(st.booleans()) and not group,
            ack=draw(st.sampled_from([None, 1, 3])),
            participant=ANA if group else None,
        )
        revoker = draw(st.sampled_from([None, BIA]))
        mark = mark_of(row, time + draw(st.integers(0, 2)) * 86_400, revoker)
        change = edited(row, f"mudado {number}", time + 86_400)
        shape = draw(st.sampled_from([[row], [mark], [row, mark], [row, change, mark]]))
        found += shape
    return draw(st.permutations(found))


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(found=revoked_talks(), data=st.data())
def test_revokes_and_messages_give_the_same_in_whatever_order_they_are_loaded(
    scratch: World, found: list[dict[str, Any]], data: st.DataObject
) -> None:
    days = archive(scratch, found)
    whole = load(scratch, [days])
    keys = {row["_data"].get("key", {}).get("id") for row in found} - {None}
    marked = {row["id"].split("_")[2].removesuffix("MARK") for row in found if "MARK" in row["id"]}
    assert deleted(scratch) == keys & marked
    assert set(rows(scratch)) == keys | marked
    order = data.draw(st.permutations(days))
    again = data.draw(st.lists(st.sampled_from(days), max_size=2))
    assert load(scratch, [[day] for day in [*order, *again]]) == whole


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shows=st.lists(st.booleans(), min_size=1, max_size=5),
    data=st.data(),
)
def test_reads_that_show_or_miss_a_message_give_the_same_in_whatever_order_they_are_loaded(
    scratch: World, shows: list[bool], data: st.DataObject
) -> None:
    """Every load takes the archive as it stood after one read."""
    shutil.rmtree(scratch.home, ignore_errors=True)
    empty(scratch)
    homes = []
    for number, shown_then in enumerate([True, *shows]):
        lines = [
            Row(str(row["id"]), json.dumps(row).encode())
            for chat, row in talk("A", "B", "C")
            if shown_then or row["body"] != "texto B"
        ]
        read_at = NOW + timedelta(minutes=number)
        scratch.archive.write(scratch.channel.key, DAY, lines, read_at=read_at, complete=True)
        homes.append(scratch.home.with_name(f"{scratch.home.name}-{number}"))
        shutil.rmtree(homes[-1], ignore_errors=True)
        shutil.copytree(scratch.home, homes[-1])
    for home in data.draw(st.permutations(homes)):
        list(World(scratch.engine, home, scratch.channel).importer().load_days([DAY]))
    is_gone = len(shows) >= 2 and not any(shows[-2:])
    assert deleted(scratch) == ({"B"} if is_gone else set())
    if is_gone:
        first_missed = len(shows) - next(
            (n for n, seen in enumerate(shows[::-1]) if seen), len(shows)
        )
        moment = datetime(NOW.year, NOW.month, NOW.day, NOW.hour, first_missed + 2, tzinfo=UTC)
        assert rows(scratch)["B"]["deleted_at"] == moment


# -- a whole account ------------------------------------------------------------------------------


def test_an_account_read_three_times_has_no_tombstones(
    empty_world: MakeWorld, replayed_a: ReplayServer, now_a: datetime
) -> None:
    world = empty_world(replayed_a.url, start=START_A, now=now_a)
    for minute in range(3):
        figures = world.import_days(now=now_a + timedelta(minutes=minute))
    assert figures["updated"] == 0
    assert world.value("SELECT count(*) FROM messages WHERE deleted_at IS NOT NULL") == 0
    assert world.value("SELECT count(*) FROM history_sync.places WHERE missed_at IS NOT NULL") == 0
