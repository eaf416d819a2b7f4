"""Side by side with the CRM's webhook: nothing doubled, nothing lost, whoever comes first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from benchmarks.contention import contend
from benchmarks.imports import Databases
from benchmarks.live_writer import Delivery, LiveWriter
from ventros_pipeline.crm.database import libpq_url
from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.import_.world import (
    ME,
    World,
    at,
    edited,
    message,
    shown,
    write_account,
)

ANA, ANA_LID = "5511980000001@s.whatsapp.net", "210000000000001@lid"
BIA = "5511980000002@s.whatsapp.net"
GROUP = "120363000000000001@g.us"
MORNING = at("2026-06-02 10:00")
LATER = timedelta(minutes=1)
Serve = Callable[[Path], ReplayServer]


def deliver(world: World, waha_id: str, phone: str, *, from_me: bool = False) -> None:
    """Let the webhook store a message."""
    url = world.engine.url.render_as_string(hide_password=False)
    writer = LiveWriter(url, world.channel, (), 0)
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        writer.store(connection, Delivery(waha_id, phone, MORNING, from_me, "oi"))


def live(world: World) -> list[dict[str, Any]]:
    return world.rows(
        "SELECT m.id, m.source, m.channel_message_id, k.stanza_id, c.phone FROM messages AS m "
        "LEFT JOIN history_sync.message_keys AS k ON k.message_id = m.id "
        "JOIN contacts AS c ON c.id = m.contact_id WHERE m.deleted_at IS NULL ORDER BY k.stanza_id"
    )


@pytest.fixture
def talking(world: World, replay: Serve, tmp_path: Path) -> ReplayServer:
    """Ana under her number and a group, imported."""
    me = ME.replace("c.us", "s.whatsapp.net")
    rows = [
        (ANA, message(ANA, "3EB0000A", MORNING)),
        (ANA, message(ANA, "3EB0000O", MORNING + 1, from_me=True, ack=3)),
        (GROUP, message(GROUP, "3EB0000G", MORNING + 2, participant=ANA)),
        (GROUP, message(GROUP, "3EB0000H", MORNING + 3, from_me=True, participant=me)),
    ]
    groups = {GROUP: {"id": GROUP, "subject": "Obra", "participants": []}}
    server = replay(write_account(tmp_path / "account", rows, groups=groups, lids={ANA_LID: ANA}))
    world.import_days()
    assert len(live(world)) == 4
    return server


# What a webhook may store of the four messages, and whom it takes for the correspondent.
SPELLINGS = {
    "bare": ("3EB0000A", "5511980000001", False),
    "bare, the number with its plus": ("3EB0000A", "+5511980000001", False),
    "bare, the number as somebody typed it": ("3EB0000A", "+55 (11) 98000-0001", False),
    "bare, the number without its ninth digit": ("3EB0000A", "551180000001", False),
    "bare, a LID taken for a number": ("3EB0000A", "210000000000001", False),
    "full, under the LID": ("false_210000000000001@lid_3EB0000A", "210000000000001", False),
    "full, as the engine spells it": (
        "false_5511980000001@s.whatsapp.net_3EB0000A",
        "5511980000001",
        False,
    ),
    "our own": ("3EB0000O", "5511980000001", True),
    "a group's": ("3EB0000G", "5511980000001", False),
    "a group's, full, without its sender": (f"false_{GROUP}_3EB0000G", "5511980000001", False),
    "a group's, our own": ("3EB0000H", "5511990000000", True),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_row_that_slips_in_behind_an_import_takes_the_place_of_ours_at_the_next_one(
    spelling: str, world: World, talking: ReplayServer
) -> None:
    waha_id, phone, from_me = SPELLINGS[spelling]
    deliver(world, waha_id, phone, from_me=from_me)
    assert len(live(world)) == 5
    # Another day: the next load of the channel is enough.
    figures = world.import_days(world.days[-3:], now=world.now + LATER)
    assert figures["seen"] == 0
    rows = live(world)
    assert len(rows) == 4
    [theirs] = [row for row in rows if row["source"] == "webhook"]
    assert theirs["channel_message_id"] == waha_id
    assert theirs["stanza_id"] in waha_id
    again = world.import_days(now=world.now + 2 * LATER)
    assert (again["inserted"], again["duplicate"]) == (0, 0)
    assert live(world) == rows
    world.assert_proved()


def test_a_row_is_seen_when_its_transaction_ends_however_many_loads_that_takes(
    world: World, talking: ReplayServer
) -> None:
    url = world.engine.url.render_as_string(hide_password=False)
    writer = LiveWriter(url, world.channel, (), 0)
    with psycopg.connect(libpq_url(url)) as connection:
        writer.store(connection, Delivery("3EB0000A", "5511980000001", MORNING, False, "oi"))
        for minutes in (1, 2):
            world.import_days(world.days[-3:], now=world.now + timedelta(minutes=minutes))
            # As if the load had been an hour later.
            world.execute(
                "UPDATE history_sync.live_looks SET looked_at = now() + interval '1 hour'"
            )
            assert len(live(world)) == 4
    assert len(live(world)) == 5
    world.import_days(world.days[-3:], now=world.now + timedelta(minutes=3))
    assert len(live(world)) == 4
    world.assert_proved()


def test_what_no_load_could_see_as_new_is_found_within_a_day(
    world: World, talking: ReplayServer
) -> None:
    world.import_days(world.days[-3:])
    deliver(world, "3EB0000A", "5511980000001")
    world.execute("UPDATE messages SET created_at = '2020-01-01', updated_at = '2020-01-01'")
    world.import_days(world.days[-3:], now=world.now + LATER)
    assert len(live(world)) == 5
    world.execute("UPDATE history_sync.live_looks SET whole_at = now() - interval '25 hours'")
    world.import_days(world.days[-3:], now=world.now + 2 * LATER)
    assert len(live(world)) == 4


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_row_that_was_there_before_is_adopted(
    spelling: str, world: World, replay: Serve, tmp_path: Path
) -> None:
    waha_id, phone, from_me = SPELLINGS[spelling]
    deliver(world, waha_id, phone, from_me=from_me)
    me = ME.replace("c.us", "s.whatsapp.net")
    rows = [
        (ANA, message(ANA, "3EB0000A", MORNING)),
        (ANA, message(ANA, "3EB0000O", MORNING + 1, from_me=True, ack=3)),
        (GROUP, message(GROUP, "3EB0000G", MORNING + 2, participant=ANA)),
        (GROUP, message(GROUP, "3EB0000H", MORNING + 3, from_me=True, participant=me)),
    ]
    replay(write_account(tmp_path / "account", rows, lids={ANA_LID: ANA}))
    assert world.import_days()["inserted"] == 3
    assert [row["source"] for row in live(world)].count("webhook") == 1
    world.assert_proved()


def test_the_row_that_stays_learns_all_that_ours_knew(world: World, talking: ReplayServer) -> None:
    late = edited(message(ANA, "3EB0000A", MORNING), "corrigido", MORNING + 600)
    talking.account.put_message(ANA, late)
    answer = {"extendedTextMessage": {"text": "sim", "contextInfo": {"stanzaId": "3EB0000A"}}}
    quoting = message(ANA, "3EB0000Q", MORNING + 60, "sim", content=answer)
    talking.account.put_message(ANA, quoting | {"replyTo": {"id": "3EB0000A", "body": "oi"}})
    world.import_days(now=world.now + LATER)
    deliver(world, "3EB0000A", "5511980000001")
    deliver(world, "3EB0000O", "5511980000001", from_me=True)
    world.import_days(world.days[-3:], now=world.now + 2 * LATER)
    found = world.rows("SELECT * FROM messages WHERE source = 'webhook' ORDER BY timestamp")
    assert [row["text"] for row in found] == ["corrigido", "oi"]
    assert [row["status"] for row in found] == ["sent", "read"]
    # The webhook's own times were of January 1970.
    assert [int(row["timestamp"].timestamp()) for row in found] == [MORNING, MORNING + 1]
    assert (
        world.value("SELECT reply_to_id FROM messages WHERE channel_message_id LIKE '%3EB0000Q'")
        == found[0]["id"]
    )
    world.assert_proved()


def test_the_same_stanza_id_with_a_stranger_is_a_message_of_its_own(
    world: World, talking: ReplayServer
) -> None:
    """Senders choose their stanza ids: nobody takes another's message over by choosing the same."""
    deliver(world, "3EB0000A", "5511980000002")
    deliver(world, f"false_{shown(BIA)}_3EB0000G", "5511980000002")
    world.import_days(world.days[-3:], now=world.now + LATER)
    assert len(live(world)) == 6
    world.assert_proved()


@pytest.mark.parametrize("phone", ["5511980000001", "+55 11 98000-0001"])
def test_of_two_contacts_that_both_sides_made_of_one_number_the_crms_stays(
    phone: str, world: World, talking: ReplayServer
) -> None:
    deliver(world, "3EB0000Z", phone)
    assert world.value("SELECT count(*) FROM contacts WHERE phone LIKE '%1'") == 2
    talking.account.put_message(ANA, message(ANA, "3EB0000Z", MORNING + 90))
    world.import_days(now=world.now + LATER)
    [kept] = world.rows("SELECT id, phone FROM contacts WHERE phone <> '' AND deleted_at IS NULL")
    assert kept["phone"] == phone
    assert {row["phone"] for row in live(world) if row["stanza_id"] != "3EB0000H"} == {phone}
    # A later delivery finds it.
    deliver(world, "3EB0000Y", phone)
    assert world.value("SELECT count(*) FROM contacts WHERE deleted_at IS NULL") == 2
    before = world.rows("SELECT * FROM contacts ORDER BY id")
    world.import_days(now=world.now + 2 * LATER)
    assert world.rows("SELECT * FROM contacts ORDER BY id") == before
    world.assert_proved()


def test_a_second_contact_of_the_crms_own_making_is_left_to_a_person(
    world: World, talking: ReplayServer
) -> None:
    for stanza, phone in (("3EB0000Y", "5511980000001"), ("3EB0000Z", "+55 11 98000-0001")):
        deliver(world, stanza, phone)
        world.import_days(world.days[-3:], now=world.now + LATER)
    made: list[UUID] = [
        row["id"]
        for row in world.rows(
            "SELECT id FROM contacts WHERE phone IS NOT NULL AND deleted_at IS NULL"
        )
    ]
    assert len(made) == 2
    assert world.value("SELECT count(*) FROM history_sync.merges") == 1
    world.assert_proved()


def test_killed_importers_and_live_writers_on_one_channel_end_as_one_import_alone_would(
    postgres_server: EmbeddedServer, tmp_path: Path
) -> None:
    """The short form of `python -m benchmarks.contention`."""
    place = Databases(postgres_server, tmp_path)
    result = contend(place, seconds=15, importers=2, writers=2)
    assert result.problems == []
    assert result.counts["imports killed"]
    assert result.counts["webhook: stored"]
