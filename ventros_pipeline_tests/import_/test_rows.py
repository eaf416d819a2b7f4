"""The rows of an import are those that the CRM's own code would have written."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ventros_pipeline.crm.merging import settle_people, undo_merge
from ventros_pipeline.replay.control import Fault
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.transform.identity import Evidence
from ventros_pipeline.waha.client import WahaClient, WahaServer
from ventros_pipeline.waha.directory import read_directory
from ventros_pipeline.waha.errors import WahaTransientError
from ventros_pipeline_tests.import_.test_people import live_message
from ventros_pipeline_tests.import_.world import (
    World,
    at,
    edited,
    message,
    shown,
    write_account,
)

ANA, ANA_LID = "5511980000001@s.whatsapp.net", "210000000000001@lid"
BIA, CAIO = "5511980000002@s.whatsapp.net", "5511980000003@s.whatsapp.net"
GROUP = "120363000000000001@g.us"
DAY = "2026-06-02"
Serve = Callable[[Path], ReplayServer]
Row = tuple[str, dict[str, Any]]
Import = Callable[..., dict[str, int]]


def said(stanza: str, clock: str, chat: str = ANA, **how: Any) -> Row:
    return chat, message(chat, stanza, at(f"{DAY} {clock}"), **how)


def moment(clock: str, day: str = DAY) -> datetime:
    return datetime.fromtimestamp(at(f"{day} {clock}"), UTC)


@pytest.fixture
def run(world: World, replay: Serve, tmp_path: Path) -> Import:
    """Imports an account that holds these rows; each time some hours after the last."""
    hours = iter(range(0, 100, 2))

    def imported(*rows: Row, days: Sequence[date] | None = None, **lists: Any) -> dict[str, int]:
        number = next(hours)
        replay(write_account(tmp_path / str(number), rows, **lists))
        return world.import_days(days, now=world.now + timedelta(hours=number))

    return imported


def one(world: World, statement: str, **values: Any) -> dict[str, Any]:
    [row] = world.rows(statement, **values)
    return row


# -- as it was specified --------------------------------------------------------------------------


def test_incoming_and_outgoing_are_imported(world: World, run: Import) -> None:
    rows = [said(f"M{n:02}", f"10:{n:02}", from_me=n % 2 == 0) for n in range(40)]
    assert run(*rows)["inserted"] == 40
    counted = world.rows("SELECT from_me, count(*) FROM messages GROUP BY 1 ORDER BY 1")
    assert counted == [{"from_me": False, "count": 20}, {"from_me": True, "count": 20}]
    world.assert_proved()


def test_contacts_are_created_and_updated_by_phone(world: World, run: Import) -> None:
    world.execute(
        "INSERT INTO contacts (project_id, tenant_id, name, phone, created_at) "
        "VALUES (:project, :tenant, 'Ana do balcão', '5511980000001', now())",
        project=world.channel.project_id,
        tenant=world.channel.tenant_id,
    )
    run(said("A", "10:00"), said("B", "11:00", BIA, push_name="Bia"))
    found = world.rows(
        "SELECT name, phone, first_interaction_at AS first FROM contacts ORDER BY phone"
    )
    assert found == [
        {"name": "Bia", "phone": "+5511980000002", "first": moment("11:00")},
        {"name": "Ana do balcão", "phone": "5511980000001", "first": moment("10:00")},
    ]


def test_every_message_and_every_session_has_the_channels_agent(world: World, run: Import) -> None:
    run(said("A", "10:00"), said("B", "10:05", from_me=True), said("C", "15:00", BIA))
    agents = world.rows("SELECT DISTINCT agent_id FROM messages")
    assert agents == [{"agent_id": world.channel.agent_id}]
    assert world.value("SELECT count(*) FROM agent_sessions") == 2
    assert world.rows("SELECT DISTINCT agent_id FROM agent_sessions") == agents


def test_status_is_mapped(world: World, run: Import) -> None:
    run(*(said(f"M{ack}", "10:00", from_me=True, ack=ack) for ack in (-1, 0, 1, 2, 3, 4)))
    found = world.rows(
        "SELECT metadata ->> 'ack' AS ack, status, delivered_at, read_at, played_at FROM messages "
        "ORDER BY (metadata ->> 'ack')::int"
    )
    unknown = {"delivered_at": None, "read_at": None, "played_at": None}
    statuses = ["failed", "queued", "sent", "delivered", "read", "read"]
    assert found == [
        {"ack": str(ack), "status": status, **unknown}
        for ack, status in zip((-1, 0, 1, 2, 3, 4), statuses, strict=True)
    ]


WRITTEN = ("messages", "sessions", "agent_sessions", "contacts", "chats", "trackings")


def test_a_reimport_is_idempotent_and_bumps_no_version(world: World, run: Import) -> None:
    rows = [
        said("A", "10:00", content=click("Cl1ck")),
        said("B", "10:05", from_me=True, replyTo={"id": "A"}),
        said("G", "11:00", GROUP, participant=BIA),
    ]
    lists = {"groups": group(ANA, BIA), "lids": {ANA_LID: ANA}}
    run(*rows, **lists)
    written = {
        table: f"SELECT xmin::text, to_jsonb(t) FROM {table} AS t ORDER BY id" for table in WRITTEN
    }
    before = {table: world.rows(statement) for table, statement in written.items()}
    assert all(before.values())
    again = run(*rows, **lists)
    assert (again["inserted"], again["updated"], again["unchanged"]) == (0, 0, 3)
    assert {table: world.rows(statement) for table, statement in written.items()} == before


def test_original_timestamps(world: World, run: Import) -> None:
    clocks = ("08:00:01", "08:00:02", "23:59:59")
    run(*(said(f"M{n}", clock) for n, clock in enumerate(clocks)))
    stored = world.rows("SELECT timestamp AS at FROM messages ORDER BY 1")
    assert [row["at"] for row in stored] == [moment(clock) for clock in clocks]
    assert one(
        world, "SELECT first_interaction_at AS a, last_interaction_at AS z FROM contacts"
    ) == {
        "a": moment("08:00:01"),
        "z": moment("23:59:59"),
    }
    assert world.value("SELECT last_message_at FROM chats") == moment("23:59:59")


def test_1000_1005_1010_and_1500_at_240_minutes_make_two_sessions(
    world: World, run: Import
) -> None:
    world.change_channel("session_timeout_minutes = 240")
    run(*(said(f"M{n}", c) for n, c in enumerate(("10:00", "10:05", "10:10", "15:00"))))
    found = world.rows(
        "SELECT message_count, status, ended_at, timeout_duration FROM sessions ORDER BY started_at"
    )
    timeout = 240 * 60 * 1_000_000_000
    assert [tuple(row.values()) for row in found] == [
        (3, "ended", moment("10:10"), timeout),
        (1, "ended", moment("15:00"), timeout),
    ]


# -- chats ----------------------------------------------------------------------------------------


def group(*members: str, subject: str = "Obra", admins: Sequence[str] = ()) -> dict[str, Any]:
    listed = [{"id": jid, "admin": "admin" if jid in admins else None} for jid in members]
    return {GROUP: {"id": GROUP, "subject": subject, "participants": listed}}


def members(world: World) -> dict[str, bool]:
    """Return the phones of the group's participants, and who of them is an admin."""
    chat = one(world, "SELECT participants FROM chats WHERE chat_type = 'group'")
    phones = {str(row["id"]): row["phone"] for row in world.rows("SELECT id, phone FROM contacts")}
    for participant in chat["participants"]:
        assert participant.keys() == {"id", "type", "joined_at", "left_at", "is_admin"}
        assert (participant["type"], participant["joined_at"]) == ("contact", None)
    return {phones[p["id"]]: p["is_admin"] for p in chat["participants"]}


def test_an_individual_chat_has_one_contact_and_no_subject(world: World, run: Import) -> None:
    run(said("A", "10:00"))
    chat = one(world, "SELECT * FROM chats")
    assert (chat["chat_type"], chat["subject"], chat["external_id"]) == ("individual", None, None)
    [participant] = chat["participants"]
    contact = str(world.value("SELECT id FROM contacts"))
    assert (participant["id"], participant["type"]) == (contact, "contact")
    assert chat["status"] == "active"


def test_a_group_has_the_members_that_are_known_people_and_follows_the_list(
    world: World, run: Import
) -> None:
    rows = [said("A", "10:00"), said("G", "10:00", GROUP, participant=BIA)]
    run(*rows, groups=group(ANA, BIA, CAIO, admins=[ANA]))
    assert members(world) == {"+5511980000001": True, "+5511980000002": False}
    version = "SELECT version FROM chats WHERE chat_type = 'group'"
    before = world.value(version)
    run(*rows, groups=group(ANA, BIA, CAIO, admins=[ANA]))
    assert world.value(version) == before
    run(*rows, groups=group(BIA, CAIO, subject="Obra 2", admins=[BIA]))
    assert members(world) == {"+5511980000002": True}
    chat = one(world, "SELECT subject, external_id FROM chats WHERE chat_type = 'group'")
    assert chat == {"subject": "Obra 2", "external_id": GROUP}
    assert world.value(version) == before + 1
    # A member that writes is known from then on.
    run(*rows, said("H", "11:00", GROUP, participant=CAIO), groups=group(BIA, CAIO, admins=[BIA]))
    assert members(world) == {"+5511980000002": True, "+5511980000003": False}


@pytest.mark.parametrize("engine", ["noweb", "gows", "webjs", "wpp"])
def test_every_engine_says_who_stands_in_a_group_and_who_is_an_admin(
    engine: str, tmp_path: Path
) -> None:
    listed = group(ANA, BIA, admins=[BIA])
    folder = write_account(tmp_path / "account", [], groups=listed, chats=[GROUP])
    with (
        ReplayServer(folder, engine=engine) as replay,
        WahaClient(WahaServer(replay.url, "default", replay.api_key, attempts=1)) as client,
    ):
        entry = read_directory(client).entries[GROUP]
    assert entry.members == {shown(ANA): False, shown(BIA): True}


def test_a_member_under_two_addresses_is_one_participant_after_the_merge(
    world: World, run: Import
) -> None:
    rows = [said("A", "10:00"), said("L", "10:00", ANA_LID)]
    run(*rows, groups=group(ANA, ANA_LID, admins=[ANA_LID]), chats=[GROUP])
    assert len(members(world)) == 2
    run(*rows, groups=group(ANA, ANA_LID, admins=[ANA_LID]), lids={ANA_LID: ANA}, chats=[GROUP])
    assert members(world) == {"+5511980000001": True}
    world.assert_proved()


def test_a_group_shows_a_person_once_from_the_merge_on_and_twice_after_its_reversal(
    world: World, run: Import
) -> None:
    rows = [said("A", "10:00"), said("L", "10:00", ANA_LID)]
    run(*rows, groups=group(ANA, ANA_LID), chats=[GROUP])
    chat = "SELECT participants FROM chats WHERE chat_type = 'group'"
    before = world.value(chat)
    learned = Evidence(ANA_LID, shown(ANA), "lids", world.now)
    settle_people(world.engine, world.channel, str(uuid4()), [learned])
    assert len(world.value(chat)) == 1
    merge = str(world.value("SELECT merge_id FROM history_sync.merges"))
    undo_merge(world.engine, world.channel, merge, str(uuid4()))
    assert world.value(chat) == before


def test_a_subject_that_a_person_typed_and_agents_in_a_group_stay(
    world: World, run: Import
) -> None:
    rows = [said("A", "10:00"), said("G", "10:00", GROUP, participant=ANA)]
    run(*rows, groups=group(ANA))
    agent = {"id": str(uuid4()), "type": "agent", "joined_at": "2026-01-01T00:00:00Z"}
    world.execute(
        "UPDATE chats SET subject = 'VIP', participants = participants || CAST(:a AS jsonb) "
        "WHERE chat_type = 'group'",
        a=json.dumps(agent),
    )
    run(*rows, groups=group(subject="Obra 2"))
    run(*rows, groups=group(ANA, BIA, subject="Obra 3"))
    chat = one(world, "SELECT subject, participants FROM chats WHERE chat_type = 'group'")
    assert chat["subject"] == "VIP"
    assert chat["participants"][-1] == agent


def crm_chat(world: World, **values: Any) -> str:
    """Open a chat as a person does in the CRM; return its id."""
    chat = {"external": None, "subject": None, "participants": [], **values}
    chat["participants"] = json.dumps(chat["participants"])
    identity = str(uuid4())
    world.execute(
        "INSERT INTO chats (id, project_id, tenant_id, chat_type, external_id, subject, "
        "participants, created_at) VALUES (:id, :project, :tenant, :kind, :external, :subject, "
        "CAST(:participants AS jsonb), now())",
        id=identity,
        project=world.channel.project_id,
        tenant=world.channel.tenant_id,
        **chat,
    )
    return identity


def test_a_chat_that_the_crm_has_with_a_contact_is_used_and_not_rewritten(
    world: World, run: Import
) -> None:
    adopted = live_message(world, "3EB0000A")
    contact = str(world.value("SELECT id FROM contacts"))
    other = {"id": str(uuid4()), "type": "contact"}
    crm_chat(world, kind="individual", participants=[{"id": contact, "type": "contact"}, other])
    mine = [{"id": contact, "type": "contact"}, {"id": str(uuid4()), "type": "agent"}]
    theirs = crm_chat(world, kind="individual", participants=mine)
    world.execute("UPDATE messages SET chat_id = :c WHERE id = :m", c=theirs, m=adopted)
    run(said("3EB0000A", "10:00"), said("3EB0000B", "11:00"))
    assert world.rows("SELECT DISTINCT chat_id::text FROM messages") == [{"chat_id": theirs}]
    assert world.value("SELECT count(*) FROM chats") == 2
    chat = one(world, "SELECT * FROM chats WHERE id = :id", id=theirs)
    assert (chat["participants"], chat["metadata"]) == (mine, {})
    assert chat["last_message_at"] == moment("11:00")
    world.assert_proved()


def test_a_group_chat_that_the_crm_has_is_used_and_not_rewritten(world: World, run: Import) -> None:
    theirs = crm_chat(world, kind="group", external=GROUP, subject="Nossa obra")
    run(said("G", "10:00", GROUP, participant=ANA), groups=group(ANA))
    assert world.rows("SELECT DISTINCT chat_id::text FROM messages") == [{"chat_id": theirs}]
    chat = one(world, "SELECT subject, participants, metadata FROM chats WHERE id = :i", i=theirs)
    assert chat == {"subject": "Nossa obra", "participants": [], "metadata": {}}
    world.assert_proved()


def test_a_row_of_the_crm_may_stand_in_another_chat_of_the_contact(
    world: World, run: Import
) -> None:
    run(said("3EB0000B", "09:00"))
    adopted = live_message(world, "3EB0000A")
    theirs = crm_chat(world, kind="individual")
    world.execute("UPDATE messages SET chat_id = :c WHERE id = :m", c=theirs, m=adopted)
    run(said("3EB0000A", "10:00"), said("3EB0000B", "09:00"))
    assert world.value("SELECT chat_id::text FROM messages WHERE id = :m", m=adopted) == theirs
    world.assert_proved()


# -- sessions -------------------------------------------------------------------------------------


def crm_session(world: World, start: str, last: str, **values: Any) -> str:
    """Open a session with the only contact, as the CRM does; return its id.

    At the very moment of a transaction of ours, which makes it none of ours.
    """
    session = {"status": "active", "reason": None, "ended": None, "minutes": 30, **values}
    identity = str(uuid4())
    world.execute(
        "INSERT INTO sessions (id, contact_id, tenant_id, channel_type_id, started_at, "
        "last_activity_at, ended_at, status, end_reason, timeout_duration, message_count, "
        "created_at) "
        "SELECT :id, id, tenant_id, 1, :start, :last, :ended, :status, :reason, "
        ":minutes * 60000000000, 7, (SELECT max(written_at) FROM history_sync.writes) "
        "FROM contacts",
        id=identity,
        start=moment(start),
        last=moment(last),
        **session,
    )
    return identity


@pytest.mark.parametrize(
    ("clock", "is_inside"),
    [
        ("09:29:59", False),
        ("09:30:00", True),
        ("10:05:00", True),
        ("10:40:00", True),
        ("10:40:01", False),
    ],
)
def test_a_message_inside_a_session_of_the_crm_belongs_to_it_and_leaves_it_as_it_is(
    clock: str, is_inside: bool, world: World, run: Import
) -> None:
    run(said("FAR", "00:00"))
    theirs = crm_session(world, "10:00", "10:10")
    before = world.rows("SELECT * FROM sessions WHERE id = :id", id=theirs)
    run(said("FAR", "00:00"), said("NEAR", clock))
    stored = world.value(
        "SELECT session_id::text FROM messages WHERE timestamp > :t", t=moment("01:00")
    )
    assert (stored == theirs) is is_inside
    assert world.rows("SELECT * FROM sessions WHERE id = :id", id=theirs) == before
    assert world.value("SELECT count(*) FROM sessions WHERE id <> :id", id=theirs) == 2 - is_inside
    world.assert_proved()
    rows = world.rows("SELECT xmin::text, session_id FROM messages ORDER BY id")
    run(said("FAR", "00:00"), said("NEAR", clock))
    assert world.rows("SELECT xmin::text, session_id FROM messages ORDER BY id") == rows


def test_what_comes_after_a_person_closed_a_session_is_not_in_it(world: World, run: Import) -> None:
    run(said("FAR", "00:00"))
    closed = crm_session(
        world,
        "10:00",
        "10:10",
        status="manually_closed",
        reason="manual_close",
        ended=moment("10:12"),
    )
    timed_out = crm_session(
        world, "15:00", "15:10", status="ended", reason="inactivity_timeout", ended=moment("15:40")
    )
    clocks = {"10:12": closed, "10:13": None, "15:40": timed_out, "15:41": None}
    run(*(said(f"M{n}", clock) for n, clock in enumerate(clocks)))
    found = {
        f"{row['at']:%H:%M}": row["session_id"] if row["session_id"] in clocks.values() else None
        for row in world.rows("SELECT timestamp AS at, session_id::text FROM messages")
    }
    assert {clock: found[clock] for clock in clocks} == clocks
    world.assert_proved()


def test_a_session_of_ours_reaches_across_none_of_the_crms(world: World, run: Import) -> None:
    world.change_channel("session_timeout_minutes = 240")
    run(said("M0", "10:00"))
    theirs = crm_session(world, "11:00", "11:00")
    run(*(said(f"M{n}", clock) for n, clock in enumerate(("10:00", "11:10", "12:00", "12:10"))))
    found = world.rows("SELECT session_id::text FROM messages ORDER BY timestamp")
    first, second, third, fourth = (row["session_id"] for row in found)
    assert second == theirs
    assert third == fourth
    assert first not in (second, third)
    assert not world.value(
        "SELECT count(*) FROM sessions WHERE status = 'active' AND id::text <> :i", i=theirs
    )


def test_the_agent_of_a_session_took_part_in_all_of_it(world: World, run: Import) -> None:
    run(said("A", "10:00"), said("B", "10:50"))
    assert world.value("SELECT count(*) FROM agent_sessions") == 2
    run(said("A", "10:00"), said("M", "10:25"), said("B", "10:50"))
    took_part = one(world, "SELECT * FROM agent_sessions")
    expected = {
        "agent_id": world.channel.agent_id,
        "session_id": world.value("SELECT id FROM sessions"),
        "role_in_session": "primary",
        "joined_at": moment("10:00"),
        "left_at": moment("10:50"),
        "is_active": False,
        "deleted_at": None,
    }
    assert {name: took_part[name] for name in expected} == expected


# -- replies, mentions, and what has no column ----------------------------------------------------


def reply(world: World, stanza: str) -> Any:
    return world.value(
        "SELECT target.stanza_id FROM history_sync.message_keys AS k "
        "JOIN messages AS m ON m.id = k.message_id "
        "LEFT JOIN history_sync.message_keys AS target ON target.message_id = m.reply_to_id "
        "WHERE k.stanza_id = :stanza",
        stanza=stanza,
    )


@pytest.mark.parametrize("quoted_first", [True, False])
def test_a_reply_is_linked_across_imports_whichever_comes_first(
    quoted_first: bool, world: World, run: Import
) -> None:
    quoted = (ANA, message(ANA, "Q", at("2026-06-02 10:00")))
    answer = (ANA, message(ANA, "R", at("2026-06-09 10:00"), replyTo={"id": "Q"}))
    days = [date(2026, 6, 2), date(2026, 6, 9)]
    for day in days if quoted_first else reversed(days):
        run(quoted, answer, days=[day])
    assert reply(world, "R") == "Q"


def test_a_reply_to_the_other_half_of_a_person_is_linked_after_the_merge(
    world: World, run: Import
) -> None:
    rows = [said("Q", "10:00"), said("R", "11:00", ANA_LID, replyTo={"id": "Q"})]
    run(*rows)
    assert reply(world, "R") is None
    learned = Evidence(ANA_LID, shown(ANA), "lids", world.now)
    settle_people(world.engine, world.channel, str(uuid4()), [learned])
    assert reply(world, "R") == "Q"


def test_mentions_are_addresses_as_whatsapp_wrote_them(world: World, run: Import) -> None:
    context = {"mentionedJid": [BIA, ANA_LID, "5511980000003:7@s.whatsapp.net"]}
    content = {"extendedTextMessage": {"text": "oi", "contextInfo": context}}
    run(said("A", "10:00", content=content), lids={ANA_LID: ANA})
    assert world.value("SELECT mentions FROM messages") == [shown(BIA), ANA_LID, shown(CAIO)]


CARD = "BEGIN:VCARD\nVERSION:3.0\nitem1.FN;CHARSET=UTF-8:Bia Souza\nEND:VCARD"


@pytest.mark.parametrize(
    ("content", "members", "expected"),
    [
        (
            {"locationMessage": {"degreesLatitude": 1.5, "degreesLongitude": 2.5}},
            {"location": {"latitude": 1.5, "longitude": 2.5, "name": "Loja", "address": "Rua 1"}},
            {"location": {"latitude": 1.5, "longitude": 2.5, "name": "Loja", "address": "Rua 1"}},
        ),
        (
            {"contactMessage": {"displayName": "Bia", "vcard": CARD}},
            {"vCards": [CARD]},
            {"contact": {"display_name": "Bia", "vcard": CARD}, "contacts": [CARD]},
        ),
        (
            {
                "contactsArrayMessage": {
                    "displayName": "2 contatos",
                    "contacts": [{"vcard": CARD}] * 2,
                }
            },
            {"vCards": [CARD, CARD]},
            {"contact": {"display_name": "Bia Souza", "vcard": CARD}, "contacts": [CARD, CARD]},
        ),
        (
            {
                "pollCreationMessage": {
                    "name": "Quando?",
                    "options": [{"optionName": "hoje"}, {"optionName": "amanhã"}],
                    "selectableOptionsCount": 1,
                }
            },
            {},
            {"details": {"name": "Quando?", "options": ["hoje", "amanhã"], "selectable": 1}},
        ),
        (
            {"albumMessage": {"expectedImageCount": 3, "expectedVideoCount": 1}},
            {},
            {"details": {"images": 3, "videos": 1}},
        ),
    ],
)
def test_what_has_no_column_is_kept_in_the_crms_shape(
    content: dict[str, Any],
    members: dict[str, Any],
    expected: dict[str, Any],
    world: World,
    run: Import,
) -> None:
    run(said("A", "10:00", text=None, content=content, **members))
    metadata = world.value("SELECT metadata FROM messages")
    assert {name: metadata.get(name) for name in expected} == expected


# -- advertisements -------------------------------------------------------------------------------


def click(identity: str | None = None, ad: str | None = "101", **context: Any) -> dict[str, Any]:
    """Return the content of a message that answers an advertisement."""
    external = {
        "sourceType": "ad",
        "sourceId": ad,
        "sourceUrl": "https://fb.me/abc",
        "sourceApp": "instagram",
        "ctwaClid": identity,
    }
    known = {name: value for name, value in external.items() if value is not None}
    context = {"externalAdReply": known, "conversionSource": "FB_Ads", **context}
    return {"extendedTextMessage": {"text": "Quero!", "contextInfo": context}}


def test_an_ad_click_becomes_one_tracking_of_the_contact(world: World, run: Import) -> None:
    row = said("A", "10:00", content=click("Cl1ck", conversionData="QUJD"))
    run(row, said("B", "10:10", content=click("Cl1ck")))
    stored = one(world, "SELECT * FROM trackings")
    first = one(world, "SELECT * FROM messages ORDER BY timestamp LIMIT 1")
    expected = {
        "contact_id": first["contact_id"],
        "session_id": first["session_id"],
        "tenant_id": world.channel.tenant_id,
        "project_id": world.channel.project_id,
        "source": "meta_ads",
        "platform": "instagram",
        "ad_id": "101",
        "ad_url": "https://fb.me/abc",
        "click_id": "Cl1ck",
        "conversion_data": "QUJD",
        "created_at": moment("10:00"),
        "deleted_at": None,
    }
    assert {name: stored[name] for name in expected} == expected
    assert stored["metadata"]["message_id"] == str(first["id"])
    assert world.value("SELECT count(*) FROM outbox_events WHERE event_type LIKE 'tracking%'") == 0


def test_ad_clicks_without_an_id_collide_with_nothing(world: World, run: Import) -> None:
    world.execute(
        "INSERT INTO trackings (contact_id, tenant_id, project_id, source, platform, click_id, "
        "created_at, updated_at) VALUES (gen_random_uuid(), '', gen_random_uuid(), 'other', "
        "'other', '', now(), now())"
    )
    rows = [
        said("A", "10:00", content=click(None, "101")),
        said("B", "10:10", content=click(None, "101")),
        said("C", "10:20", content=click(None, "202")),
        said("D", "10:00", BIA, content=click(None, "101")),
    ]
    for _ in range(2):
        run(*rows)
        found = world.rows("SELECT ad_id FROM trackings WHERE click_id IS NULL ORDER BY 1")
        assert [row["ad_id"] for row in found] == ["101", "101", "202"]


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_click_that_the_crm_recorded_is_left_to_it_and_another_projects_takes_only_the_id(
    is_ours: bool, world: World, run: Import
) -> None:
    world.execute(
        "INSERT INTO trackings (contact_id, tenant_id, project_id, source, platform, click_id, "
        "created_at, updated_at) VALUES (gen_random_uuid(), '', :project, 'meta_ads', "
        "'facebook', 'Cl1ck', now(), now())",
        project=world.channel.project_id if is_ours else str(uuid4()),
    )
    for _ in range(2):
        run(said("A", "10:00", content=click("Cl1ck")))
        found = world.rows("SELECT click_id FROM trackings ORDER BY click_id")
        assert [row["click_id"] for row in found] == ["Cl1ck", None][: 2 - is_ours]


def test_our_own_link_previews_and_those_of_others_are_no_ad_clicks(
    world: World, run: Import
) -> None:
    preview = {"externalAdReply": {"title": "Loja", "sourceUrl": "https://loja.example"}}
    content = {"extendedTextMessage": {"text": "veja", "contextInfo": preview}}
    run(said("A", "10:00", content=content), said("B", "10:01", from_me=True, content=click("X")))
    assert world.value("SELECT count(*) FROM trackings") == 0


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_click_is_of_its_first_message_whatever_day_is_loaded_first(
    newest_first: bool, world: World, run: Import
) -> None:
    rows = [
        (ANA, message(ANA, f"M{d}", at(f"2026-06-0{d} 10:00"), content=click("C"))) for d in (2, 5)
    ]
    for day in sorted([date(2026, 6, 2), date(2026, 6, 5)], reverse=newest_first):
        run(*rows, days=[day])
    stored = one(
        world,
        "SELECT t.*, m.timestamp AS at FROM trackings AS t "
        "JOIN messages AS m ON m.session_id = t.session_id",
    )
    assert stored["created_at"] == stored["at"] == moment("10:00")


# -- versions, and figures that follow ------------------------------------------------------------


def figures(world: World) -> dict[str, Any]:
    return one(
        world,
        "SELECT c.first_interaction_at, c.last_interaction_at, h.last_message_at, s.started_at, "
        "s.version, state.watermark FROM contacts AS c, chats AS h, sessions AS s, "
        "history_sync.channel_state AS state",
    )


@pytest.mark.parametrize("edit_first", [True, False])
def test_an_edit_that_is_read_before_its_original_leaves_no_figure_behind(
    edit_first: bool, world: World, run: Import
) -> None:
    original = message(ANA, "A", at("2026-06-02 10:00"), "antes")
    changed = edited(original, "depois", at("2026-06-05 10:00"))
    whole = [(original, date(2026, 6, 2)), (changed, date(2026, 6, 5))]
    for row, day in reversed(whole) if edit_first else whole:
        run((ANA, row), days=[day])
    start = moment("10:00")
    assert figures(world) == {
        "first_interaction_at": start,
        "last_interaction_at": start,
        "last_message_at": start,
        "started_at": start,
        "version": 2,
        "watermark": start,
    }


def test_what_the_crm_saw_later_is_never_taken_back(world: World, run: Import) -> None:
    original = message(ANA, "A", at("2026-06-02 10:00"), "antes")
    run((ANA, edited(original, "depois", at("2026-06-05 10:00"))), days=[date(2026, 6, 5)])
    world.execute("UPDATE contacts SET last_interaction_at = '2026-06-20 10:00Z'")
    run((ANA, original), days=[date(2026, 6, 2)])
    assert figures(world)["last_interaction_at"] == moment("10:00", "2026-06-20")
    assert figures(world)["last_message_at"] == moment("10:00")


def test_a_version_rises_with_every_change_of_ours_and_only_then(world: World, run: Import) -> None:
    versions = (
        "SELECT c.version AS c, h.version AS h, s.version AS s FROM contacts c, chats h, sessions s"
    )
    run(said("A", "10:00"))
    first = one(world, versions)
    run(said("A", "10:00"))
    assert one(world, versions) == first
    run(said("A", "10:00"), said("B", "10:10"))
    second = one(world, versions)
    assert all(second[name] > first[name] for name in first)
    book = [{"id": shown(ANA), "name": "Ana Alves"}]
    run(said("A", "10:00"), said("B", "10:10"), contacts=book)
    assert one(world, versions) == {**second, "c": second["c"] + 1}


# -- pictures -------------------------------------------------------------------------------------


def with_pictures(folder: Path, rows: Sequence[Row], pictures: dict[str, str | None]) -> Path:
    faces = [{"id": shown(jid), "name": "x", "picture": url} for jid, url in pictures.items()]
    write_account(folder, rows)
    (folder / "overview.json").write_text(json.dumps(faces))
    return folder


def test_pictures_are_asked_for_gently_and_only_once(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    rows = [said("A", "10:00"), said("B", "10:00", BIA), said("C", "10:00", CAIO)]
    rows.append(said("G", "10:00", GROUP, participant=ANA))
    pictures = {ANA: "https://pps.example/ana.jpg", BIA: None, CAIO: "javascript:alert(1)"}
    server = replay(with_pictures(tmp_path / "a", rows, pictures))
    world.import_days()
    before = world.rows("SELECT id, version FROM contacts ORDER BY id")
    assert (
        world.importer().fetch_avatars(max_contacts=2)
        + world.importer().fetch_avatars(max_contacts=2)
        == 1
    )
    found = world.rows(
        "SELECT profile_picture_url AS url, profile_picture_fetched_at AS at FROM contacts "
        "WHERE phone IS NOT NULL ORDER BY phone"
    )
    assert [row["url"] for row in found] == [pictures[ANA], None, None]
    assert [row["at"] for row in found] == [world.now] * 3
    after = world.rows("SELECT id, version FROM contacts ORDER BY id")
    assert sum(row not in before for row in after) == 3
    server.stats.reset()
    assert world.importer().fetch_avatars(max_contacts=10) == 0
    requests = server.stats.requests["GET /api/contacts/profile-picture"]
    assert requests == 2, "who has a picture is asked for no more"


def test_who_was_not_answered_for_comes_last_next_time(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    rows = [said("A", "10:00"), said("B", "10:00", BIA)]
    pictures = {ANA: "https://pps.example/ana.jpg", BIA: "https://pps.example/bia.jpg"}
    server = replay(with_pictures(tmp_path / "a", rows, dict(pictures)))
    world.import_days()

    server.control.fault = lambda request: (
        Fault(status=500) if request.template == "/api/contacts/profile-picture" else None
    )
    with pytest.raises(WahaTransientError):
        world.importer().fetch_avatars(max_contacts=1)
    server.control.fault = None
    asked = "SELECT id FROM contacts WHERE profile_picture_fetched_at IS NOT NULL"
    unanswered = world.value(asked)
    assert world.importer().fetch_avatars(max_contacts=1) == 1
    last = "SELECT id FROM contacts WHERE profile_picture_url IS NULL"
    assert world.value(last) == unanswered
    assert world.importer().fetch_avatars(max_contacts=1) == 1
