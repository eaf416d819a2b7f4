"""Contacts follow what is known of people, double and lose nothing, and can be taken apart."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ventros_pipeline.crm.merging import (
    MergeError,
    Settled,
    join_contacts,
    settle_people,
    undo_merge,
)
from ventros_pipeline.demo import BUNDLED_ACCOUNT
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.report import report_of
from ventros_pipeline.transform.identity import Evidence
from ventros_pipeline_tests.import_.world import KEY, World, at, message, write_account

ANA, ANA_LID = "5511980000001@s.whatsapp.net", "210000000000001@lid"
BIA = "5511980000002@s.whatsapp.net"
ANA_PHONE, BIA_PHONE = "5511980000001@c.us", "5511980000002@c.us"
GROUP = "120363000000000001@g.us"
MORNING = at("2026-06-02 10:00")
LEARNED = datetime(2026, 6, 29, tzinfo=UTC)
Serve = Callable[[Path], ReplayServer]

# A person who wrote under both addresses, alone and in a group.
TWO_HALVES = [
    (ANA, message(ANA, "P1", MORNING, push_name="Ana")),
    (ANA, message(ANA, "P2", MORNING + 60, from_me=True, ack=3)),
    (ANA_LID, message(ANA_LID, "L1", MORNING + 120, replyTo={"id": "P1"})),
    (ANA_LID, message(ANA_LID, "L2", MORNING + 7200, from_me=True)),
    (GROUP, message(GROUP, "G1", MORNING + 30, participant=ANA)),
    (GROUP, message(GROUP, "G2", MORNING + 90, participant=ANA_LID)),
]


def halves(world: World, replay: Serve, tmp_path: Path) -> None:
    """Import a person's two halves while nothing says that they are one."""
    groups = {GROUP: {"id": GROUP, "subject": "Obra", "participants": []}}
    replay(write_account(tmp_path / "account", TWO_HALVES, groups=groups))
    world.import_days()


def learn(
    world: World, one: str = ANA_LID, other: str = ANA_PHONE, source: str = "lids", days: int = 0
) -> Settled:
    """Let a source say that two addresses are one person."""
    known = Evidence(one, other, source, LEARNED + timedelta(days=days))
    return settle_people(world.engine, world.channel, str(uuid4()), [known])


def undo(world: World) -> Settled:
    """Undo the newest merge."""
    merge = world.value(
        "SELECT merge_id::text FROM history_sync.merges WHERE undone_at IS NULL "
        "ORDER BY merged_at DESC LIMIT 1"
    )
    return undo_merge(world.engine, world.channel, str(merge), str(uuid4()))


def state(world: World) -> dict[str, list[dict[str, Any]]]:
    """Return all that a person sees in the CRM, whatever the rows' versions and moments."""
    return {
        "contacts": world.rows(
            "SELECT to_jsonb(c) - '{version,updated_at}'::text[] AS row FROM contacts AS c "
            "ORDER BY id"
        ),
        "people": world.rows(
            "SELECT to_jsonb(t) AS row FROM history_sync.people AS t ORDER BY contact_id"
        ),
        "identities": world.rows("SELECT * FROM history_sync.identities ORDER BY address"),
        "chats": world.rows(
            "SELECT to_jsonb(c) - '{version,updated_at}'::text[] AS row FROM chats AS c "
            "WHERE deleted_at IS NULL ORDER BY id"
        ),
        "messages": world.rows(
            "SELECT to_jsonb(m) - '{updated_at}'::text[] AS row FROM messages AS m ORDER BY id"
        ),
        "keys": world.rows(
            "SELECT to_jsonb(t) AS row FROM history_sync.message_keys AS t ORDER BY message_id"
        ),
        "sessions": world.rows(
            "SELECT to_jsonb(s) - '{version,created_at,updated_at}'::text[] AS row "
            "FROM sessions AS s ORDER BY id"
        ),
        "agents": world.rows(
            "SELECT to_jsonb(a) - '{created_at,updated_at}'::text[] AS row "
            "FROM agent_sessions AS a ORDER BY id"
        ),
        "clicks": world.rows(
            "SELECT to_jsonb(t) - '{updated_at}'::text[] AS row FROM trackings AS t ORDER BY id"
        ),
        "events": world.rows("SELECT id, contact_id FROM contact_events ORDER BY id"),
        "fields": world.rows(
            "SELECT contact_id, field_key, field_value FROM contact_custom_fields "
            "WHERE deleted_at IS NULL ORDER BY 1, 2"
        ),
    }


def live_contacts(world: World) -> list[dict[str, Any]]:
    return world.rows("SELECT id, name, phone FROM contacts WHERE deleted_at IS NULL ORDER BY name")


def test_two_halves_become_one_person_when_a_source_says_so(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    halves(world, replay, tmp_path)
    assert len(live_contacts(world)) == 3
    assert learn(world) == Settled(merged=1)
    ana, group = live_contacts(world)
    assert (ana["name"], ana["phone"], group["name"]) == ("Ana", "+5511980000001", "Obra")
    found = world.rows(
        "SELECT k.stanza_id, m.contact_id, m.chat_id, m.session_id, m.reply_to_id, m.id "
        "FROM messages AS m JOIN history_sync.message_keys AS k ON k.message_id = m.id "
        "WHERE m.deleted_at IS NULL ORDER BY 1"
    )
    assert [row["stanza_id"] for row in found] == ["G1", "G2", "L1", "L2", "P1", "P2"]
    assert {row["contact_id"] for row in found} == {ana["id"]}
    assert len({row["chat_id"] for row in found}) == 2
    by_stanza = {row["stanza_id"]: row for row in found}
    assert by_stanza["L1"]["reply_to_id"] == by_stanza["P1"]["id"]
    # L2 came two hours later, and is a session of its own.
    assert by_stanza["L1"]["session_id"] == by_stanza["P1"]["session_id"]
    assert by_stanza["L2"]["session_id"] != by_stanza["P1"]["session_id"]
    assert world.value("SELECT count(*) FROM sessions") == 2
    [merge] = world.rows("SELECT sources, moved, absorbed_addresses FROM history_sync.merges")
    assert merge == {
        "sources": ["lids"],
        "moved": {"messages": 3},
        "absorbed_addresses": [ANA_LID],
    }
    world.assert_proved()


def test_what_is_known_already_moves_nothing(world: World, replay: Serve, tmp_path: Path) -> None:
    halves(world, replay, tmp_path)
    learn(world)
    before = state(world)
    assert learn(world) == learn(world, days=1) == Settled()
    assert settle_people(world.engine, world.channel, str(uuid4())) == Settled()
    assert state(world) == before


def test_undoing_a_merge_gives_back_the_former_state_and_no_evidence_joins_them_again(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    halves(world, replay, tmp_path)
    before = state(world)
    learn(world)
    assert state(world) != before
    assert undo(world) == Settled(split=1)
    assert state(world) == before
    assert learn(world, source="contacts", days=3) == Settled()
    assert settle_people(world.engine, world.channel, str(uuid4())) == Settled()
    assert state(world) == before
    world.assert_proved()


def test_one_message_under_both_addresses_is_one_row_after_the_merge_and_two_after_its_reversal(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    replay(write_account(tmp_path / "a", [(ANA, message(ANA, "S", MORNING, from_me=True, ack=1))]))
    world.import_days()
    row = message(ANA_LID, "S", MORNING, from_me=True, ack=3)
    replay(write_account(tmp_path / "b", [(ANA_LID, row)]))
    world.import_days(now=world.now + timedelta(minutes=1))
    before = state(world)
    learn(world)
    live = "SELECT id, status FROM messages WHERE deleted_at IS NULL"
    [kept] = world.rows(live)
    assert kept["status"] == "read"
    assert world.value("SELECT count(*) FROM messages") == 2
    assert world.value("SELECT message_count FROM sessions") == 1
    world.assert_proved()
    figures = world.import_days(now=world.now + timedelta(hours=3))
    assert (figures["inserted"], figures["updated"]) == (0, 0)
    assert world.rows(live) == [kept]
    world.assert_proved()
    undo(world)
    assert state(world)["messages"] == before["messages"]
    assert state(world)["keys"] == before["keys"]
    assert state(world)["sessions"] == before["sessions"]


def test_a_message_that_came_after_the_merge_goes_to_whom_its_address_belongs_to(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    halves(world, replay, tmp_path)
    learn(world)
    replay(
        write_account(
            tmp_path / "later",
            [
                (ANA_LID, message(ANA_LID, "L3", MORNING + 9000)),
                (ANA, message(ANA, "P3", MORNING + 9060)),
            ],
        )
    )
    world.import_days(now=world.now + timedelta(hours=2))
    undo(world)
    owners = world.rows(
        "SELECT k.stanza_id, i.address FROM history_sync.message_keys AS k "
        "JOIN history_sync.identities AS i USING (contact_id) "
        "JOIN messages AS m ON m.id = k.message_id AND m.contact_id = k.contact_id "
        "WHERE k.stanza_id IN ('L1', 'L3', 'P1', 'P3') ORDER BY 1"
    )
    assert [tuple(row.values()) for row in owners] == [
        ("L1", ANA_LID),
        ("L3", ANA_LID),
        ("P1", ANA_PHONE),
        ("P3", ANA_PHONE),
    ]
    world.assert_proved()


def test_a_contact_of_the_crm_takes_ours_in_and_is_never_removed(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    replay(write_account(tmp_path / "a", [(ANA_LID, message(ANA_LID, "L1", MORNING))]))
    world.import_days()
    world.execute(
        "INSERT INTO contacts (project_id, tenant_id, name, phone, created_at) "
        "VALUES (:project, :tenant, 'Dona Ana', '5511980000001', now())",
        project=world.channel.project_id,
        tenant=world.channel.tenant_id,
    )
    crm = world.value("SELECT id FROM contacts WHERE name = 'Dona Ana'")
    learn(world)
    assert live_contacts(world) == [{"id": crm, "name": "Dona Ana", "phone": "5511980000001"}]
    assert world.value("SELECT contact_id FROM messages") == crm
    world.assert_proved()


def test_what_hangs_on_a_contact_moves_with_it_and_back(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    halves(world, replay, tmp_path)
    lid = world.value(
        "SELECT contact_id FROM history_sync.identities WHERE address = :a", a=ANA_LID
    )
    world.execute(
        "INSERT INTO contact_events (contact_id, tenant_id, event_type, category, priority, source,"
        " occurred_at) VALUES (:lid, :tenant, 'note', 'general', 'normal', 'agent', now())",
        lid=lid,
        tenant=world.channel.tenant_id,
    )
    world.execute(
        "INSERT INTO contact_custom_fields (contact_id, tenant_id, field_key, field_type,"
        " field_value) VALUES (:lid, :tenant, 'cidade', 'text', '\"Recife\"')",
        lid=lid,
        tenant=world.channel.tenant_id,
    )
    world.execute(
        "UPDATE contacts SET name = 'Dona Ana', tags = '[\"vip\"]' WHERE id = :lid", lid=lid
    )
    before = state(world)
    learn(world)
    [ana] = world.rows("SELECT id, name, tags FROM contacts WHERE phone IS NOT NULL")
    assert ana["name"] == "Dona Ana"
    assert set(ana["tags"]) == {"vip", "whatsapp"}
    assert world.value("SELECT contact_id FROM contact_events") == ana["id"]
    assert (
        world.value("SELECT contact_id FROM contact_custom_fields WHERE field_key = 'cidade'")
        == ana["id"]
    )
    undo(world)
    assert state(world) == before


def test_of_two_claims_on_a_lid_the_newer_holds_and_its_messages_follow(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    rows = [*TWO_HALVES[:4], (BIA, message(BIA, "B1", MORNING + 5))]
    replay(write_account(tmp_path / "account", rows))
    world.import_days()
    learn(world)
    assert learn(world, other=BIA_PHONE, days=2) == Settled(merged=1, split=1)
    owner = "SELECT c.phone FROM messages AS m JOIN contacts AS c ON c.id = m.contact_id WHERE m.id"
    key = "(SELECT message_id FROM history_sync.message_keys WHERE stanza_id = :stanza)"
    owners = {s: world.value(f"{owner} = {key}", stanza=s) for s in ("P1", "L1", "L2", "B1")}
    assert owners == {
        "P1": "+5511980000001",
        "L1": "+5511980000002",
        "L2": "+5511980000002",
        "B1": "+5511980000002",
    }
    world.assert_proved()


def test_a_merge_is_undone_once_and_after_those_that_stand_on_it(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    halves(world, replay, tmp_path)
    learn(world)
    merge = str(world.value("SELECT merge_id::text FROM history_sync.merges"))
    undo(world)
    with pytest.raises(MergeError, match="undone already"):
        undo_merge(world.engine, world.channel, merge, str(uuid4()))
    with pytest.raises(MergeError, match="no merge"):
        undo_merge(world.engine, world.channel, str(uuid4()), str(uuid4()))


def test_an_incoming_stanza_under_both_addresses_is_evidence_and_a_broadcast_is_not(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    for number, (chat, mine) in enumerate([(ANA, False), (ANA_LID, False), (BIA, True)]):
        rows = [(chat, message(chat, "SAME" if not mine else "CAST", MORNING, from_me=mine))]
        if chat == ANA_LID:
            rows.append((chat, message(chat, "CAST", MORNING, from_me=True)))
        replay(write_account(tmp_path / str(number), rows))
        world.import_days(now=world.now + timedelta(minutes=number))
    assert [row["phone"] for row in live_contacts(world)] == ["+5511980000001", "+5511980000002"]
    assert world.value("SELECT count(*) FROM messages WHERE deleted_at IS NULL") == 3
    assert world.rows("SELECT sources FROM history_sync.merges") == [{"sources": ["stanzas"]}]
    world.assert_proved()


def test_a_row_that_left_with_its_address_makes_room_for_the_message_under_the_other(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    """The row of a broadcast to both addresses of one person stays with the one it was read under.

    The other's message then had the same id, and its days could never be loaded again.
    """
    to_both = [
        (ANA_LID, message(ANA_LID, "CAST", MORNING, from_me=True)),
        (ANA, message(ANA, "P1", MORNING + 1)),
    ]
    replay(write_account(tmp_path / "first", to_both, lids={ANA_LID: ANA}))
    world.import_days()
    replay(write_account(tmp_path / "second", [(ANA, message(ANA, "CAST", MORNING, from_me=True))]))
    world.import_days(now=world.now + timedelta(minutes=1))
    assert world.value("SELECT count(*) FROM messages") == 2
    project = world.channel.project_id
    one, other = sorted([ANA_LID, ANA_PHONE])
    world.execute(
        "INSERT INTO history_sync.separations (project_id, one, other) VALUES (:p, :one, :other)",
        p=project,
        one=one,
        other=other,
    )
    assert settle_people(world.engine, world.channel, str(uuid4())) == Settled(split=1)
    for minutes in (2, 3):
        world.import_days(now=world.now + timedelta(minutes=minutes))
        found = world.rows(
            "SELECT k.address FROM messages AS m JOIN history_sync.message_keys AS k "
            "ON k.message_id = m.id WHERE k.stanza_id = 'CAST' AND m.deleted_at IS NULL ORDER BY 1"
        )
        assert [row["address"] for row in found] == [ANA_LID, ANA_PHONE]
    world.assert_proved()


# -- by hand --------------------------------------------------------------------------------------


def crm_contact(world: World, name: str, phone: str | None) -> str:
    """Make a contact as a person does in the CRM; return its id."""
    world.execute(
        "INSERT INTO contacts (project_id, tenant_id, name, phone, created_at) "
        "VALUES (:project, :tenant, :name, :phone, now())",
        project=world.channel.project_id,
        tenant=world.channel.tenant_id,
        name=name,
        phone=phone,
    )
    return str(world.value("SELECT id FROM contacts WHERE name = :name", name=name))


def join(world: World, one: str, other: str) -> Settled:
    return join_contacts(world.engine, world.channel, one, other, str(uuid4()))


@pytest.mark.parametrize("phone", [None, "+5511980000001", "+5511970000009"])
def test_a_person_joins_contacts_that_nothing_else_would_and_takes_them_apart(
    phone: str | None, world: World, replay: Serve, tmp_path: Path
) -> None:
    halves(world, replay, tmp_path)
    ours = str(world.value("SELECT id::text FROM contacts WHERE phone = '+5511980000001'"))
    typed = crm_contact(world, "Ana da padaria", phone)
    before = state(world)
    assert join(world, ours, typed) == Settled(merged=1)
    live = {str(row["id"]): row for row in live_contacts(world)}
    assert ours not in live
    assert live[typed]["name"] == "Ana da padaria"
    assert live[typed]["phone"] == (phone or "+5511980000001")
    assert world.rows("SELECT sources FROM history_sync.merges") == [{"sources": ["operator"]}]
    world.assert_proved()
    undo(world)
    known = {str(row["row"]["contact_id"]) for row in state(world)["people"]} - {typed}
    after = state(world)
    after["people"] = [r for r in after["people"] if r["row"]["contact_id"] in known]
    after["identities"] = [r for r in after["identities"] if str(r["contact_id"]) in known]
    assert after == before
    assert join(world, ours, typed) == Settled(merged=1)


def test_a_persons_word_retires_even_a_contact_that_the_crm_made(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    replay(write_account(tmp_path / "a", [(ANA, message(ANA, "P1", MORNING))]))
    first = crm_contact(world, "Ana", "5511980000001")
    world.import_days()
    second = crm_contact(world, "Ana Souza", None)
    join(world, first, second)
    assert [str(row["id"]) for row in live_contacts(world)] == [first]


def test_what_whatsapp_does_not_know_is_not_ours_to_join(world: World) -> None:
    one, other = crm_contact(world, "Um", None), crm_contact(world, "Outro", None)
    with pytest.raises(MergeError, match="WhatsApp knows neither"):
        join(world, one, other)
    with pytest.raises(MergeError, match="has no contact"):
        join(world, one, str(uuid4()))
    assert world.value("SELECT count(*) FROM history_sync.people") == 0


# -- a whole account ------------------------------------------------------------------------------


def forgetful(folder: Path) -> Path:
    """Return a copy of account A in which nothing says whose a LID is."""
    shutil.copytree(BUNDLED_ACCOUNT, folder)
    (folder / "lids.json").write_text("[]")
    for name in ("contacts.json", "chats.json"):
        listed = json.loads((folder / name).read_bytes())
        told = ("lid", "phoneNumber", "lidJid", "pnJid")
        silent = [{k: v for k, v in item.items() if k not in told} for item in listed]
        (folder / name).write_text(json.dumps(silent))
    groups = json.loads((folder / "groups.json").read_bytes())
    for group in groups.values():
        group["participants"] = [{"id": p["id"]} for p in group.get("participants", [])]
    (folder / "groups.json").write_text(json.dumps(groups))
    return folder


def by_person(world: World) -> list[dict[str, Any]]:
    """Return every message with its person by what the person is known by, and its session."""
    return world.rows(
        """
        SELECT k.stanza_id, k.day, m.timestamp AS at, m.status, m.text, m.content_type,
            m.chat_id IS NULL AS nowhere, c.phone, c.name, who.addresses,
            count(*) OVER (PARTITION BY m.session_id) AS in_session, s.message_count,
            target.stanza_id AS reply_to
        FROM messages AS m
        JOIN history_sync.message_keys AS k ON k.message_id = m.id
        JOIN contacts AS c ON c.id = m.contact_id AND c.deleted_at IS NULL
        JOIN chats AS h ON h.id = m.chat_id AND h.deleted_at IS NULL
        JOIN sessions AS s ON s.id = m.session_id
        LEFT JOIN history_sync.message_keys AS target ON target.message_id = m.reply_to_id
        CROSS JOIN LATERAL (
            SELECT array_agg(address ORDER BY address) AS addresses
            FROM history_sync.identities AS i WHERE i.contact_id = c.id
        ) AS who
        WHERE m.deleted_at IS NULL
        ORDER BY k.stanza_id, k.address
        """
    )


def test_account_a_is_the_same_when_its_lid_table_is_forgotten_and_learned_half_way(
    imported_a: World, replayed_a: ReplayServer, empty_world: Any, tmp_path: Path
) -> None:
    with ReplayServer(forgetful(tmp_path / "forgetful"), api_key=KEY) as server:
        world = empty_world(server.url, start=imported_a.start, now=imported_a.now)
        half = len(world.days) // 2
        world.import_days(world.days[:half])
    world.change_channel(
        f"config = config || jsonb_build_object('base_url', '{replayed_a.url}'::text)"
    )
    # Two hours later the directory is read anew, and knows.
    world.import_days(world.days[half:], now=world.now + timedelta(hours=2))
    assert world.value("SELECT count(*) FROM history_sync.merges") > 0
    contacts = "SELECT count(*) FROM contacts WHERE deleted_at IS NULL"
    assert world.value(contacts) == imported_a.value(contacts)
    report = report_of(world.engine, world.channel)
    assert (report.overview["people"], report.overview["one_to_one_chats"]) == (43, 47)
    assert by_person(world) == by_person(imported_a)
    world.assert_proved()
