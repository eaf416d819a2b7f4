"""What an import writes on a contact: names, WhatsApp's ids, the stage, first and last message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from ventros_pipeline.crm.channels import add_channel
from ventros_pipeline.replay.control import Fault, Request
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.waha.errors import WahaTransientError
from ventros_pipeline_tests.import_.world import (
    KEY,
    KEY_VARIABLE,
    ME,
    ME_LID,
    World,
    at,
    message,
    shown,
    write_account,
)

ANA, ANA_LID = "5511980000001@s.whatsapp.net", "210000000000001@lid"
BIA, BIA_LID = "5511980000002@s.whatsapp.net", "210000000000002@lid"
PHONE, FORMATTED = "+5511980000001", "+55 11 98000-0001"
GROUP = "120363000000000001@g.us"
DAYS = [date(2026, 6, 2), date(2026, 6, 5)]
Serve = Callable[[Path], ReplayServer]


def of_day(
    day: int, chat: str = ANA, stanza: str | None = None, **how: Any
) -> tuple[str, dict[str, Any]]:
    return chat, message(chat, stanza or f"3EB000{day}", at(f"2026-06-0{day} 10:00"), **how)


def insert(world: World, statement: str, **values: Any) -> list[dict[str, Any]]:
    """Insert rows and return what the statement returns of them."""
    with world.engine.begin() as connection:
        return [dict(row) for row in connection.execute(sa.text(statement), values).mappings()]


@dataclass
class Book:
    """The CRM's own contact of Ana, made before the import."""

    world: World
    id: UUID

    @property
    def name(self) -> str | None:
        found: str | None = self.world.value("SELECT name FROM contacts WHERE id = :id", id=self.id)
        return found


def contact_in_the_crm(world: World, name: str | None, **values: Any) -> Book:
    columns = {"name": name, "phone": PHONE, **values}
    made = insert(
        world,
        f"INSERT INTO contacts (project_id, tenant_id, {', '.join(columns)}, created_at) "
        f"VALUES (:project, :tenant, :{', :'.join(columns)}, now()) RETURNING id",
        project=world.channel.project_id,
        tenant=world.channel.tenant_id,
        **columns,
    )
    return Book(world, made[0]["id"])


def import_in_order(world: World, days: Sequence[date]) -> None:
    for number, day in enumerate(days):
        world.import_days([day], now=world.now + timedelta(minutes=number))


def name(world: World) -> str:
    [contact] = world.rows("SELECT name FROM contacts")
    return str(contact["name"])


# -- names ----------------------------------------------------------------------------------------


@pytest.fixture
def policy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("VENTROS_CONTACT_NAMES", request.param)
    return str(request.param)


def under(*policies: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("policy", policies, indirect=True)


@under("never", "if-raw", "always")
@pytest.mark.parametrize("days", [DAYS, DAYS[::-1]], ids=["oldest-first", "newest-first"])
@pytest.mark.parametrize("typed", [None, "Dona Ana", "Ana", "5511980000001"])
def test_the_order_of_days_does_not_matter_to_a_name(
    typed: str | None,
    days: list[date],
    policy: str,
    world: World,
    replay: Serve,
    tmp_path: Path,
) -> None:
    if typed:
        contact_in_the_crm(world, typed)
    rows = [of_day(2, push_name="Ana"), of_day(5, push_name="Ana 🌻")]
    replay(write_account(tmp_path / "account", rows))

    import_in_order(world, days)

    raw = typed in (None, "5511980000001")
    assert (
        name(world)
        == {
            "never": typed or FORMATTED,
            "if-raw": "Ana 🌻" if raw else typed,
            "always": "Ana 🌻",
        }[policy]
    )
    world.assert_proved()


@under("never")
@pytest.mark.parametrize("days", [DAYS, DAYS[::-1]], ids=["oldest-first", "newest-first"])
def test_where_names_never_change_the_digits_of_a_lid_still_give_way_to_the_number(
    days: list[date], policy: str, world: World, replay: Serve, tmp_path: Path
) -> None:
    rows = [of_day(2, ANA_LID), of_day(5, ANA_LID, key={"remoteJidAlt": ANA})]
    replay(write_account(tmp_path / "account", rows))
    import_in_order(world, days)
    assert name(world) == FORMATTED


@under("never")
def test_where_names_never_change_the_first_name_that_waha_lists_is_the_last(
    policy: str, world: World, replay: Serve, tmp_path: Path
) -> None:
    for minutes, listed in enumerate(("Ana Alves", "Ana Alves Souza")):
        book = [{"id": shown(ANA), "name": listed, "pushname": "aninha"}]
        replay(write_account(tmp_path / listed, [of_day(2)], contacts=book))
        world.import_days(now=world.now + timedelta(hours=2 * minutes))
        assert name(world) == "Ana Alves"


@pytest.mark.parametrize(
    "raw",
    [
        "5511980000001",
        "+55 (11) 98000-0001",
        "\u202a+55\u00a011\u00a098000\u20110001\u202c",
        "210000000000001",
        "",
        "  ",
        None,
    ],
)
def test_a_number_is_no_name_in_whatever_format(
    raw: str | None, world: World, replay: Serve, tmp_path: Path
) -> None:
    book = contact_in_the_crm(world, raw)
    rows = [of_day(2, push_name="Ana")]
    replay(write_account(tmp_path / "account", rows, lids={ANA_LID: ANA}))
    world.import_days()
    assert book.name == "Ana"


@pytest.mark.parametrize(
    "typed", ["Ana", "Cliente 5511980000001", "🌻 5511980000001", "5511980000009", "李"]
)
def test_what_a_person_typed_stays_a_name(
    typed: str, world: World, replay: Serve, tmp_path: Path
) -> None:
    book = contact_in_the_crm(world, typed)
    replay(write_account(tmp_path / "account", [of_day(2, push_name="Ana B.")]))
    world.import_days()
    assert book.name == typed


def test_a_number_that_a_person_put_in_place_of_a_name_gives_way_to_the_name(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    replay(write_account(tmp_path / "account", [of_day(2, push_name="Ana")]))
    world.import_days()
    world.execute("UPDATE contacts SET name = '(55) 11 98000 0001'")
    world.import_days(now=world.now + timedelta(minutes=1))
    assert name(world) == "Ana"


@under("always")
def test_always_replaces_what_a_person_typed_even_by_the_same_name_as_before(
    policy: str, world: World, replay: Serve, tmp_path: Path
) -> None:
    replay(write_account(tmp_path / "account", [of_day(2, push_name="Ana")]))
    world.import_days()
    world.execute("UPDATE contacts SET name = 'Dona Ana'")
    world.import_days(now=world.now + timedelta(minutes=1))
    assert name(world) == "Ana"


@under("always")
def test_a_number_never_takes_the_place_of_a_name(
    policy: str, world: World, replay: Serve, tmp_path: Path
) -> None:
    book = contact_in_the_crm(world, "Dona Ana")
    replay(write_account(tmp_path / "account", [of_day(2)]))
    world.import_days()
    assert book.name == "Dona Ana"


# -- WhatsApp's ids -------------------------------------------------------------------------------


def fields(world: World, phone: str | None = PHONE) -> dict[str, Any]:
    rows = world.rows(
        "SELECT f.field_key, f.field_value FROM contact_custom_fields AS f "
        "JOIN contacts AS c ON c.id = f.contact_id "
        "WHERE c.phone IS NOT DISTINCT FROM :phone AND c.deleted_at IS NULL "
        "AND f.deleted_at IS NULL AND f.tenant_id = c.tenant_id AND f.field_type = 'text' "
        "AND jsonb_typeof(f.field_value) = 'string'",
        phone=phone,
    )
    found = {row["field_key"]: row["field_value"] for row in rows}
    assert len(found) == len(rows)
    return found


ANAS = {"waha_wid": "5511980000001", "waha_jid": "5511980000001", "waha_lid": "210000000000001"}


def test_a_person_has_the_ids_that_the_webhook_writes_and_a_group_has_none(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    # Of two LIDs the lower one counts, and 99… has a digit less.
    lids = {ANA_LID: ANA, "99000000000001@lid": ANA}
    rows = [of_day(2), of_day(3, GROUP, participant=BIA)]
    replay(write_account(tmp_path / "account", rows, lids=lids, chats=list(lids)))
    world.import_days()
    assert fields(world) == ANAS | {"waha_lid": "99000000000001"}
    assert fields(world, "+5511980000002") == {
        "waha_wid": "5511980000002",
        "waha_jid": "5511980000002",
    }
    assert fields(world, None) == {}


def test_a_lid_is_no_whatsapp_id_until_its_number_is_known(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    server = replay(write_account(tmp_path / "account", [of_day(2, ANA_LID)]))
    world.import_days()
    assert fields(world, None) == {"waha_lid": "210000000000001"}
    server.account.put_message(*of_day(5, ANA_LID, key={"remoteJidAlt": ANA}))
    world.import_days(now=world.now + timedelta(minutes=1))
    assert fields(world) == ANAS


def test_ids_that_have_not_changed_are_not_written_again(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    versions = "SELECT id, xmin::text, updated_at FROM contact_custom_fields ORDER BY id"
    replay(write_account(tmp_path / "account", [of_day(2), of_day(5)], lids={ANA_LID: ANA}))
    world.import_days()
    before = world.rows(versions)
    world.import_days(now=world.now + timedelta(hours=2))
    assert world.rows(versions) == before
    assert len(before) == 3


def set_field(world: World, key: str, value: str) -> None:
    world.execute(
        "UPDATE contact_custom_fields SET field_value = to_jsonb(CAST(:value AS text)) "
        "WHERE field_key = :key",
        key=key,
        value=value,
    )


def test_an_id_that_is_nobodys_was_typed_and_stays_and_an_old_one_follows_whatsapp(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    replay(write_account(tmp_path / "account", [of_day(2)], lids={ANA_LID: ANA}))
    world.import_days()
    set_field(world, "waha_jid", "loja@s.whatsapp.net")
    set_field(world, "waha_wid", "210000000000001")  # The webhook's fallback for want of a number.
    world.import_days(now=world.now + timedelta(minutes=1))
    assert fields(world) == ANAS | {"waha_jid": "loja@s.whatsapp.net"}


def test_an_id_that_has_become_another_contacts_is_taken_away(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    replay(write_account(tmp_path / "account", [of_day(2), of_day(3, BIA_LID)]))
    world.import_days()
    world.execute(
        "INSERT INTO contact_custom_fields (contact_id, tenant_id, field_key, field_type, "
        "field_value) SELECT id, tenant_id, 'waha_wid', 'text', '\"5511980000001\"' "
        "FROM contacts WHERE phone IS NULL"
    )
    world.import_days(now=world.now + timedelta(minutes=1))
    assert fields(world, None) == {"waha_lid": "210000000000002"}
    assert fields(world)["waha_wid"] == "5511980000001"


def test_an_id_that_was_deleted_is_there_again_after_the_next_load_and_once(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    replay(write_account(tmp_path / "account", [of_day(2)]))
    world.import_days()
    world.execute("UPDATE contact_custom_fields SET deleted_at = now()")
    world.import_days(now=world.now + timedelta(minutes=1))
    assert fields(world) == {key: ANAS[key] for key in ("waha_wid", "waha_jid")}


# -- the stage ------------------------------------------------------------------------------------


@pytest.fixture
def stages(world: World) -> dict[str, UUID]:
    """The channel's pipeline: its first stage by position is closed, the next one deleted."""
    owner = {"project": world.channel.project_id, "tenant": world.channel.tenant_id}
    [pipeline] = insert(
        world,
        "INSERT INTO pipelines (project_id, tenant_id, name) "
        "VALUES (:project, :tenant, 'Vendas') RETURNING id",
        **owner,
    )
    world.change_channel(f"pipeline_id = '{pipeline['id']}'")
    made = insert(
        world,
        "INSERT INTO pipeline_statuses (pipeline_id, name, status_type, position, deleted_at) "
        "VALUES (:id, 'Perdido', 'closed', 0, NULL), (:id, 'Antigo', 'open', 1, now()), "
        "(:id, 'Negociando', 'active', 7, NULL), (:id, 'Novo', 'open', 3, NULL) "
        "RETURNING name, id",
        **pipeline,
    )
    return {row["name"]: row["id"] for row in made}


STAGES = """
    SELECT s.id, c.phone, p.name, s.entered_at, s.exited_at
    FROM contact_pipeline_statuses AS s
    JOIN contacts AS c ON c.id = s.contact_id AND c.tenant_id = s.tenant_id
    JOIN pipeline_statuses AS p ON p.id = s.status_id AND p.pipeline_id = s.pipeline_id
    WHERE s.deleted_at IS NULL ORDER BY c.phone, s.entered_at
"""


@pytest.mark.parametrize("days", [DAYS, DAYS[::-1]], ids=["oldest-first", "newest-first"])
def test_a_new_person_enters_the_first_open_stage_at_the_first_message_and_nobody_else_does(
    days: list[date], stages: dict[str, UUID], world: World, replay: Serve, tmp_path: Path
) -> None:
    contact_in_the_crm(world, "Bia", phone="+5511980000002")
    rows = [of_day(2), of_day(5), of_day(2, BIA), of_day(5, GROUP, participant=ANA)]
    replay(write_account(tmp_path / "account", rows))
    import_in_order(world, days)
    [entered] = world.rows(STAGES)
    assert (entered["phone"], entered["name"], entered["exited_at"]) == (PHONE, "Novo", None)
    assert entered["entered_at"] == datetime(2026, 6, 2, 10, tzinfo=UTC)

    before = world.rows("SELECT *, xmin::text FROM contact_pipeline_statuses")
    world.import_days(now=world.now + timedelta(hours=2))
    assert world.rows("SELECT *, xmin::text FROM contact_pipeline_statuses") == before


@pytest.mark.parametrize("left", [True, False])
def test_who_has_been_moved_stays_where_people_put_them(
    left: bool, stages: dict[str, UUID], world: World, replay: Serve, tmp_path: Path
) -> None:
    replay(write_account(tmp_path / "account", [of_day(2), of_day(5)]))
    import_in_order(world, DAYS[1:])
    world.execute("UPDATE contact_pipeline_statuses SET exited_at = now()")
    if not left:
        world.execute(
            "INSERT INTO contact_pipeline_statuses (contact_id, pipeline_id, status_id, tenant_id, "
            "entered_at) SELECT contact_id, pipeline_id, :status, tenant_id, now() "
            "FROM contact_pipeline_statuses",
            status=stages["Negociando"],
        )
    before = world.rows(STAGES)
    world.import_days(now=world.now + timedelta(minutes=1))
    assert world.rows(STAGES) == before
    assert len(before) == (1 if left else 2)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE channels SET pipeline_id = NULL",
        "UPDATE pipelines SET deleted_at = now()",
        "UPDATE pipeline_statuses SET active = false",
        "UPDATE pipeline_statuses SET status_type = 'closed'",
    ],
)
def test_without_an_open_stage_nobody_enters_one(
    change: str, stages: dict[str, UUID], world: World, replay: Serve, tmp_path: Path
) -> None:
    world.execute(change)
    replay(write_account(tmp_path / "account", [of_day(2)]))
    world.import_days()
    assert world.value("SELECT count(*) FROM contacts") == 1
    assert world.rows(STAGES) == []


def test_a_person_whom_waha_only_lists_enters_now(
    stages: dict[str, UUID], world: World, replay: Serve, tmp_path: Path
) -> None:
    replay(write_account(tmp_path / "account", [], chats=[ANA]))
    world.import_days()
    [entered] = world.rows(STAGES)
    assert abs(datetime.now(UTC) - entered["entered_at"]) < timedelta(minutes=5)


# -- first and last message, language -------------------------------------------------------------


@pytest.mark.parametrize("days", [DAYS, DAYS[::-1]], ids=["oldest-first", "newest-first"])
def test_first_and_last_interaction_are_message_times_that_can_be_trusted(
    days: list[date], world: World, replay: Serve, tmp_path: Path
) -> None:
    future = at("2031-01-01 00:00")
    rows = [of_day(2), of_day(5), (ANA, message(ANA, "X", 0)), (ANA, message(ANA, "Y", future))]
    replay(write_account(tmp_path / "account", rows))
    import_in_order(world, [world.start, *days])
    [found] = world.rows("SELECT first_interaction_at, last_interaction_at FROM contacts")
    assert list(found.values()) == [datetime(2026, 6, day, 10, tzinfo=UTC) for day in (2, 5)]


def test_a_contact_that_the_crm_had_keeps_what_lies_outside_of_the_imported_messages(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    first, last = datetime(2026, 6, 3, tzinfo=UTC), datetime(2026, 6, 29, tzinfo=UTC)
    times = {"first_interaction_at": first, "last_interaction_at": last}
    contact_in_the_crm(world, "Ana", language="pt", timezone="America/Bahia", **times)
    replay(write_account(tmp_path / "account", [of_day(2), of_day(5)]))
    world.import_days()
    [found] = world.rows(f"SELECT {', '.join(times)}, language, timezone FROM contacts")
    assert list(found.values()) == [
        datetime(2026, 6, 2, 10, tzinfo=UTC),
        last,
        "pt",
        "America/Bahia",
    ]


def test_a_new_contact_has_the_language_and_time_zone_that_the_crm_gives(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    """The CRM's constructor says `en` and no time zone; nothing in WhatsApp says better."""
    replay(write_account(tmp_path / "account", [of_day(2)]))
    world.import_days()
    [found] = world.rows("SELECT language, timezone, tags, source_channel FROM contacts")
    assert list(found.values()) == ["en", None, ["whatsapp"], "whatsapp"]


# -- ourselves, groups ----------------------------------------------------------------------------


def test_we_are_no_contact_wherever_waha_lists_us(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    own = ME.replace("c.us", "s.whatsapp.net")
    members = [{"id": ME_LID, "phoneNumber": own}, {"id": ANA_LID, "phoneNumber": ANA}]
    folder = write_account(
        tmp_path / "account",
        [
            of_day(2, GROUP, participant=ANA_LID),
            of_day(3, GROUP, participant=ME_LID),
            of_day(4, GROUP, from_me=True, participant=own),
            of_day(5, own, from_me=True),
            of_day(6, ME_LID),
        ],
        contacts=[{"id": ME, "name": "Eu", "lid": ME_LID}],
        groups={GROUP: {"id": GROUP, "subject": "Obra", "participants": members}},
        lids={ME_LID: ME},
    )
    replay(folder)
    world.import_days()
    contacts = world.rows("SELECT name, phone FROM contacts ORDER BY phone")
    assert contacts == [{"name": FORMATTED, "phone": PHONE}, {"name": "Obra", "phone": None}]
    known = world.rows("SELECT address FROM history_sync.identities")
    assert {row["address"] for row in known} == {GROUP, ANA_LID, shown(ANA)}
    senders = "SELECT count(*) FROM messages AS m JOIN chats AS c ON c.id = m.chat_id "
    assert world.value(f"{senders} WHERE c.external_id = :group", group=GROUP) == 3
    world.assert_proved()


# -- the sweep ------------------------------------------------------------------------------------


def sweep(world: World, max_lids: int = 100, *, minutes: int = 1) -> tuple[int, int, int]:
    importer = world.importer(now=world.now + timedelta(minutes=minutes))
    swept = importer.sweep_people(max_lids=max_lids)
    return swept.asked, swept.learned, swept.merged


def asked(server: ReplayServer) -> list[str]:
    """Return the LIDs that were asked for, in order."""
    paths = [request.path for request in server.stats.log if request.template.endswith("/{lid}")]
    return [path.rpartition("/")[2].replace("%40", "@") for path in paths]


def test_a_number_that_waha_learns_later_is_found_by_the_sweep(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    server = replay(write_account(tmp_path / "account", [of_day(2, ANA_LID)]))
    world.import_days()
    assert sweep(world) == (1, 0, 0)
    server.account.map_lid(ANA_LID, ANA)

    assert sweep(world, minutes=2) == (1, 1, 0)

    assert world.rows("SELECT name, phone FROM contacts") == [{"name": FORMATTED, "phone": PHONE}]
    assert fields(world) == ANAS
    assert sweep(world, minutes=3) == (0, 0, 0)
    world.assert_proved()


def test_the_sweep_merges_who_turns_out_to_be_one_person(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    rows = [of_day(2, ANA_LID), of_day(3, ANA, push_name="Ana")]
    server = replay(write_account(tmp_path / "account", rows))
    world.import_days()
    server.account.map_lid(ANA_LID, ANA)

    assert sweep(world) == (1, 1, 1)

    [contact] = world.rows("SELECT id, name, phone FROM contacts WHERE deleted_at IS NULL")
    assert (contact["name"], contact["phone"]) == ("Ana", PHONE)
    assert fields(world) == ANAS
    owners = world.rows("SELECT DISTINCT contact_id FROM messages")
    assert owners == [{"contact_id": contact["id"]}]
    world.assert_proved()


def test_a_sweep_is_bounded_and_goes_on_with_who_was_asked_longest_ago(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    lids = [f"21000000000000{n}@lid" for n in range(1, 6)]
    server = replay(write_account(tmp_path / "account", [of_day(2, lid) for lid in lids]))
    world.import_days()
    for minutes in (1, 2, 3):
        assert sweep(world, 2, minutes=minutes) == (2, 0, 0)
    assert asked(server) == [*lids, lids[0]]


def test_a_channel_asks_only_for_people_that_it_has_met(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    replay(write_account(tmp_path / "account", [of_day(2, ANA_LID)]))
    world.import_days()
    with ReplayServer(
        write_account(tmp_path / "other", [of_day(2, BIA_LID)]), api_key=KEY
    ) as server:
        channel = add_channel(
            world.engine, session="default", base_url=server.url, api_key_env=KEY_VARIABLE
        )
        second = World(world.engine, tmp_path / "second", channel)
        second.import_days()
        assert sweep(second) == (1, 0, 0)
        assert asked(server) == [BIA_LID]


def test_what_waha_said_before_it_failed_is_kept_and_the_lid_it_failed_on_comes_last(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    rows = [of_day(2, ANA_LID), of_day(3, BIA_LID)]
    server = replay(write_account(tmp_path / "account", rows, chats=["210000000000003@lid"]))
    world.import_days()
    server.account.map_lid(ANA_LID, ANA)

    def fail(request: Request) -> Fault | None:
        return Fault.error(503) if BIA_LID.partition("@")[0] in request.path else None

    server.control.fault = fail
    with pytest.raises(WahaTransientError):
        sweep(world)
    assert fields(world) == ANAS
    server.control.fault = None
    assert sweep(world, minutes=2) == (2, 0, 0)
    assert asked(server)[2:] == ["210000000000003@lid", BIA_LID]


def test_a_server_that_answers_for_no_single_lid_is_told_and_not_an_error(
    world: World, replay: Serve, tmp_path: Path
) -> None:
    server = replay(write_account(tmp_path / "account", [of_day(2, ANA_LID)]))
    world.import_days()
    server.control.fault = lambda request: (
        Fault.error(404) if request.template.endswith("/{lid}") else None
    )
    importer = world.importer()
    importer.sweep_people(max_lids=5)
    [note] = importer.notes
    assert "does not say whose a single LID is" in note
    assert "2100000" not in note
