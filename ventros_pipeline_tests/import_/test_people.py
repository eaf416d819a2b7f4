"""Who a message belongs to, under which name, and what the CRM held before."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.import_.world import (
    ME,
    ME_LID,
    World,
    at,
    message,
    shown,
    write_account,
)

ANA, ANA_LID = "5511980000001@s.whatsapp.net", "210000000000001@lid"
BIA = "5511980000002@s.whatsapp.net"
GROUP = "120363000000000001@g.us"
MORNING = at("2026-06-02 10:00")
Serve = Callable[[Path], ReplayServer]


def one_message(stanza: str = "3EB0000A", **how: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(ANA, message(ANA, stanza, MORNING, **how))]


# -- one message, several rows --------------------------------------------------------------------


def test_the_same_message_under_both_addresses_of_a_person_is_one_and_counts_a_duplicate(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    """The engine has one row for a stanza id, so the two come as two readings of it."""
    folder = write_account(
        tmp_path / "account", one_message(), lids={ANA_LID: ANA}, chats=[ANA_LID]
    )
    replay(folder)
    world.import_days()
    second = write_account(
        tmp_path / "later",
        [(ANA_LID, message(ANA_LID, "3EB0000A", MORNING)), *one_message("3EB0000B")],
        lids={ANA_LID: ANA},
    )
    replay(second)
    figures = world.import_days(now=world.now + timedelta(minutes=1))
    assert figures["seen"] == 3
    assert (figures["inserted"], figures["duplicate"], figures["unchanged"]) == (1, 1, 1)
    [person] = world.rows("SELECT phone FROM contacts")
    assert person["phone"] == "+5511980000001"
    assert world.value("SELECT count(DISTINCT chat_id) FROM messages") == 1
    world.assert_proved()


def test_both_addresses_in_one_window_give_one_row_and_the_balance_closes(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    alt = {"remoteJidAlt": ANA}
    first = write_account(
        tmp_path / "first", [(ANA_LID, message(ANA_LID, "3EB0000A", MORNING, key=alt))]
    )
    replay(first)
    for _ in world.importer().read_days(world.days):
        pass
    replay(write_account(tmp_path / "second", one_message()))
    figures = world.import_days()
    assert (figures["seen"], figures["inserted"], figures["duplicate"]) == (2, 1, 1)
    assert world.rows("SELECT phone FROM contacts") == [{"phone": "+5511980000001"}]
    world.assert_proved()


def test_a_broadcast_to_several_people_is_several_messages(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    replay(write_account(tmp_path / "to-ana", one_message(from_me=True)))
    world.import_days()
    replay(
        write_account(tmp_path / "to-bia", [(BIA, message(BIA, "3EB0000A", MORNING, from_me=True))])
    )
    assert world.import_days(now=world.now + timedelta(minutes=1))["inserted"] == 1
    rows = world.rows("SELECT id, contact_id FROM messages")
    assert len({row["id"] for row in rows}) == len({row["contact_id"] for row in rows}) == 2
    world.assert_proved()


# -- what the CRM held before ---------------------------------------------------------------------


def live_message(world: World, channel_message_id: str, **values: Any) -> UUID:
    """Store a message as the CRM's webhook does: no chat, its own contact, its own id."""
    with world.engine.begin() as connection:
        return live_message_in(connection, world, channel_message_id, **values)


def live_message_in(
    connection: sa.Connection, world: World, channel_message_id: str, **values: Any
) -> UUID:
    owner = {
        "project": world.channel.project_id,
        "tenant": world.channel.tenant_id,
        "owner": world.channel.user_id,
        "channel": world.channel.id,
        "waha_id": channel_message_id,
        "phone": "5511980000001",
        "status": "sent",
        "metadata": None,
        "from_me": False,
        **values,
    }
    contact = connection.execute(
        sa.text("SELECT id FROM contacts WHERE ltrim(phone, '+') = :phone"), owner
    ).scalar()
    contact = (
        contact
        or connection.execute(
            sa.text(
                "INSERT INTO contacts (project_id, tenant_id, name, phone, created_at) "
                "VALUES (:project, :tenant, 'Ana do balcão', :phone, now()) RETURNING id"
            ),
            owner,
        ).scalar()
    )
    found = connection.execute(
        sa.text(
            "INSERT INTO messages (tenant_id, timestamp, user_id, project_id, from_me, channel_id, "
            "contact_id, text, channel_message_id, source, status, metadata, created_at) VALUES "
            "(:tenant, '2026-06-02 10:00Z', :owner, :project, :from_me, :channel, :contact, 'oi', "
            ":waha_id, 'webhook', :status, CAST(:metadata AS jsonb), now()) RETURNING id"
        ),
        {**owner, "contact": contact},
    ).scalar_one()
    assert isinstance(found, UUID)
    return found


@pytest.mark.parametrize("waha_id", ["false_5511980000001@c.us_3EB0000A", "3EB0000A"])
@pytest.mark.parametrize("phone", ["5511980000001", "+5511980000001"])
def test_a_message_the_webhook_stored_is_adopted_and_not_doubled(
    waha_id: str, phone: str, world: World, replay: Serve, tmp_path: Path
) -> None:
    known = live_message(world, waha_id, phone=phone)
    replay(write_account(tmp_path / "account", [*one_message(), *one_message("3EB0000B")]))
    figures = world.import_days()
    assert figures["inserted"] == 1
    assert figures["updated"] + figures["unchanged"] == 1
    row = world.rows("SELECT source, channel_message_id FROM messages WHERE id = :id", id=known)
    assert row == [{"source": "webhook", "channel_message_id": waha_id}]
    assert world.value("SELECT count(*) FROM messages") == 2
    assert world.rows("SELECT name, phone FROM contacts") == [
        {"name": "Ana do balcão", "phone": phone}
    ]
    assert (
        world.value(
            "SELECT count(*) FROM history_sync.message_keys WHERE message_id = :id", id=known
        )
        == 1
    )
    again = world.import_days(now=world.now + timedelta(minutes=1))
    assert (again["inserted"], again["updated"], again["unchanged"]) == (0, 0, 2)
    world.assert_proved()


def test_an_adopted_message_keeps_the_higher_status(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    metadata = json.dumps({"ack": "READ", "note": "da loja"})
    known = live_message(world, "3EB0000A", from_me=True, status="read", metadata=metadata)
    replay(write_account(tmp_path / "account", one_message(from_me=True, ack=1)))
    world.import_days()
    [row] = world.rows("SELECT status, metadata FROM messages WHERE id = :id", id=known)
    assert row["status"] == "read"
    assert row["metadata"]["note"] == "da loja"


def test_a_webhook_that_stores_a_message_at_the_same_moment_is_waited_for_and_adopted(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    replay(write_account(tmp_path / "account", one_message()))
    importer = world.importer()
    importer.read_directory()
    for _ in importer.read_days(world.days):
        pass
    with ThreadPoolExecutor(1) as pool, world.engine.connect() as webhook:
        begun = webhook.begin()
        live_message_in(webhook, world, "false_5511980000001@c.us_3EB0000A")
        loading = pool.submit(lambda: list(importer.load_days(world.days)))
        limit = time.monotonic() + 30
        while not world.rows(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND datname = current_database()"
        ):
            assert time.monotonic() < limit, "the load does not wait for the webhook"
        begun.commit()
        [loaded] = loading.result(30)
    assert (loaded.inserted, loaded.updated + loaded.unchanged) == (0, 1)
    assert world.rows("SELECT source FROM messages") == [{"source": "webhook"}]
    world.assert_proved()


# -- names ----------------------------------------------------------------------------------------


def name(world: World) -> str:
    [contact] = world.rows("SELECT name FROM contacts")
    return str(contact["name"])


def test_a_better_name_replaces_ours_whatever_day_it_comes_from(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    server = replay(write_account(tmp_path / "account", one_message()))
    world.import_days()
    assert name(world) == "+55 11 98000-0001"
    later = message(ANA, "3EB0000B", at("2026-06-05 10:00"), push_name="Ana 🌻")
    server.account.put_message(ANA, later)
    world.import_days(now=world.now + timedelta(minutes=1))
    assert name(world) == "Ana 🌻"
    older = message(ANA, "3EB0000C", at("2026-06-03 10:00"), push_name="Aninha")
    server.account.put_message(ANA, older)
    world.import_days(now=world.now + timedelta(minutes=2))
    assert name(world) == "Ana 🌻"
    book = [{"id": shown(ANA), "name": "Ana Alves", "pushname": "outra"}]
    replay(write_account(tmp_path / "named", one_message(), contacts=book))
    world.import_days(now=world.now + timedelta(hours=2))
    assert name(world) == "Ana Alves"


def test_a_name_that_a_person_typed_is_never_overwritten(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    server = replay(write_account(tmp_path / "account", one_message(push_name="Ana")))
    world.import_days()
    world.execute("UPDATE contacts SET name = 'Dona Ana (VIP)'")
    later = message(ANA, "3EB0000B", at("2026-06-05 10:00"), push_name="Ana 🌻")
    server.account.put_message(ANA, later)
    world.import_days(now=world.now + timedelta(minutes=1))
    assert name(world) == "Dona Ana (VIP)"


def test_a_typed_name_stays_even_when_whatsapp_said_the_same_for_a_while(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    server = replay(write_account(tmp_path / "account", one_message(push_name="Ana")))
    world.import_days()
    world.execute("UPDATE contacts SET name = 'Maria'")
    for day, said in ((3, "Maria"), (4, "Zed")):
        row = message(ANA, f"3EB000{day}", at(f"2026-06-0{day} 10:00"), push_name=said)
        server.account.put_message(ANA, row)
        world.import_days(now=world.now + timedelta(minutes=day))
        assert name(world) == "Maria"


def test_our_own_push_name_is_nobody_elses(world: World, replay: Serve, tmp_path: Path) -> None:
    replay(write_account(tmp_path / "account", one_message(from_me=True, push_name="Nossa Loja")))
    world.import_days()
    assert name(world) == "+55 11 98000-0001"


# -- groups and ourselves -------------------------------------------------------------------------


def test_our_own_group_messages_hang_on_the_group_and_we_are_no_contact(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    me = ME.replace("c.us", "s.whatsapp.net")
    rows = [
        (
            GROUP,
            message(
                GROUP, "A", MORNING, from_me=True, participant=ME.replace("c.us", "s.whatsapp.net")
            ),
        ),
        # From the phone, in a group with LID addressing, WAHA may call our message another's.
        (GROUP, message(GROUP, "B", MORNING + 1, participant=ME_LID)),
        (GROUP, message(GROUP, "C", MORNING + 2, participant=ANA)),
        (me, message(me, "D", MORNING)),
    ]
    groups = {GROUP: {"id": GROUP, "subject": "Obra", "participants": []}}
    replay(write_account(tmp_path / "account", rows, groups=groups))
    figures = world.import_days()
    assert (figures["inserted"], figures["filtered"]) == (3, 1)
    found = world.rows(
        "SELECT k.stanza_id, m.from_me, c.name, c.phone FROM messages AS m "
        "JOIN history_sync.message_keys AS k ON k.message_id = m.id "
        "JOIN contacts AS c ON c.id = m.contact_id ORDER BY 1"
    )
    assert [tuple(row.values()) for row in found] == [
        ("A", True, "Obra", None),
        ("B", True, "Obra", None),
        ("C", False, "+55 11 98000-0001", "+5511980000001"),
    ]
    assert world.value("SELECT count(*) FROM contacts") == 2
    [chat] = world.rows("SELECT chat_type, external_id, subject FROM chats WHERE external_id <> ''")
    assert chat == {"chat_type": "group", "external_id": GROUP, "subject": "Obra"}
    world.assert_proved()


def test_a_lid_is_a_person_without_a_phone_until_somebody_says_whose_it_is(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    server = replay(
        write_account(tmp_path / "account", [(ANA_LID, message(ANA_LID, "3EB0000A", MORNING))])
    )
    world.import_days()
    [contact] = world.rows("SELECT id, phone, name, external_id FROM contacts")
    assert contact["phone"] is None
    assert (contact["external_id"], contact["name"]) == (ANA_LID, "210000000000001")

    alt = {"remoteJidAlt": ANA}
    server.account.put_message(ANA_LID, message(ANA_LID, "3EB0000B", MORNING + 60, key=alt))
    world.import_days(now=world.now + timedelta(minutes=1))
    [known] = world.rows("SELECT id, phone, name FROM contacts")
    assert known == {
        "id": contact["id"],
        "phone": "+5511980000001",
        "name": "+55 11 98000-0001",
    }
    world.assert_proved()


def test_a_number_that_another_contact_carries_is_not_given_twice(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    rows = [(ANA_LID, message(ANA_LID, "3EB0000A", MORNING)), *one_message("3EB0000B")]
    server = replay(write_account(tmp_path / "account", rows))
    world.import_days()
    alt = {"remoteJidAlt": ANA}
    server.account.put_message(ANA_LID, message(ANA_LID, "3EB0000C", MORNING + 60, key=alt))
    world.import_days(now=world.now + timedelta(minutes=1))
    phones = world.rows("SELECT phone FROM contacts ORDER BY phone")
    assert phones == [{"phone": "+5511980000001"}, {"phone": None}]
    world.assert_proved()
