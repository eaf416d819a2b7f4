"""Each proof fails when what it forbids is planted, and says so without text or phone number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from ventros_pipeline.crm.checks import PROOFS, TIMES_KEPT, prove, prove_times
from ventros_pipeline.crm.database import connect
from ventros_pipeline.crm.doctor import examine
from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline.importer import archived_times
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.conftest import fresh_database
from ventros_pipeline_tests.import_.world import KEY, World, at, message, new_world, write_account

ANA = "5511980000001@s.whatsapp.net"
ANA_LID = "210000000000001@lid"
GROUP = "120363000000000001@g.us"
SECRET_TEXT = "o segredo da Ana"
COPY = """
    INSERT INTO messages
    SELECT (jsonb_populate_record(m, jsonb_build_object('id', gen_random_uuid()) || :change)).*
    FROM messages AS m WHERE id = :id
"""


@pytest.fixture(scope="module")
def imported_template(
    postgres_server: EmbeddedServer, migrated_template: str, tmp_path_factory: Any
) -> Iterator[tuple[str, World]]:
    """A small import to spoil in copies."""
    rows = [
        (ANA, message(ANA, "3EB0000A", at("2026-06-02 10:00"), SECRET_TEXT)),
        (ANA_LID, message(ANA_LID, "3EB0000B", at("2026-06-02 10:05"), "do LID")),
        (GROUP, message(GROUP, "3EB0000C", at("2026-06-03 11:00"), "grupo", participant=ANA)),
    ]
    folder = tmp_path_factory.mktemp("planted")
    write_account(folder / "account", rows, lids={ANA_LID: ANA})
    with (
        fresh_database(postgres_server.url, migrated_template) as url,
        ReplayServer(folder / "account", api_key=KEY) as server,
    ):
        engine = connect(url)
        world = new_world(engine, folder / "home", server.url)
        assert world.import_days()["inserted"] == 3
        engine.dispose()
        yield str(sa.make_url(url).database), world


@pytest.fixture
def planted(
    imported_template: tuple[str, World], postgres_server: EmbeddedServer
) -> Iterator[World]:
    """A copy of the small import, for one test to spoil."""
    name, world = imported_template
    with fresh_database(postgres_server.url, name) as url:
        engine = connect(url)
        yield World(engine, world.home, world.channel, run_ids=world.run_ids)
        engine.dispose()


def broken(world: World) -> dict[str, int]:
    """Return the proofs that fail, and check that none of them says too much."""
    days = world.days
    said = archived_times(world.archive, world.channel.key, days)
    findings = {p.name: prove(world.engine, world.channel, p, world.run_ids[-1]) for p in PROOFS}
    of_days = {
        p.name: prove(world.engine, world.channel, p, world.run_ids[-1], days) for p in PROOFS
    }
    assert of_days == findings
    findings[TIMES_KEPT.name] = prove_times(world.engine, world.channel, days, said)
    for finding in findings.values():
        assert len(finding.sample) == min(finding.found, 20)
        told = json.dumps([dict(row) for row in finding.sample], default=str)
        assert SECRET_TEXT not in told
        assert "5511980000001" not in told
    return {name: finding.found for name, finding in findings.items() if finding.found}


def message_id(world: World, stanza: str) -> UUID:
    found = world.value(
        "SELECT message_id FROM history_sync.message_keys WHERE stanza_id = :s", s=stanza
    )
    assert isinstance(found, UUID)
    return found


def copy(world: World, stanza: str, **change: object) -> None:
    world.execute(COPY, id=message_id(world, stanza), change=json.dumps(change))


def test_an_import_that_nobody_spoiled_proves_everything(planted: World) -> None:
    assert broken(planted) == {}


def test_the_same_message_twice_is_found_by_its_key(planted: World) -> None:
    """The unique index forbids it, so it goes for the length of this test."""
    planted.execute("DROP INDEX idx_messages_unique_channel_msg_id")
    copy(planted, "3EB0000A", source="webhook")
    assert broken(planted) == {"no_message_twice_by_key": 1, "no_message_twice_by_person": 1}


@pytest.mark.parametrize(
    "other_id",
    [
        f"false_{ANA_LID}_3EB0000A",
        "false_5511980000001@s.whatsapp.net_3EB0000A",
        "true_5511980000001@c.us_3EB0000A",
        "3EB0000A",
    ],
    ids=["under the other address", "in another form", "in another direction", "bare"],
)
def test_a_message_twice_is_found_by_its_person_whatever_its_id(
    planted: World, other_id: str
) -> None:
    copy(planted, "3EB0000A", source="webhook", channel_message_id=other_id)
    assert broken(planted) == {"no_message_twice_by_person": 1}


def test_a_group_message_twice_is_found_whatever_the_participant(planted: World) -> None:
    copy(
        planted,
        "3EB0000C",
        source="webhook",
        channel_message_id=f"false_{GROUP}_3EB0000C_{ANA_LID}",
    )
    assert broken(planted) == {"no_message_twice_by_person": 1}


def test_one_stanza_id_in_two_conversations_is_two_messages(planted: World) -> None:
    copy(
        planted,
        "3EB0000A",
        source="webhook",
        channel_message_id="false_5511980000009@c.us_3EB0000A",
    )
    assert broken(planted) == {}


def test_rows_that_whatsapp_never_named_are_no_repetition(planted: World) -> None:
    """The CRM's own broadcasts and failed sendings have no id: two of them to one contact."""
    for _ in range(2):
        copy(planted, "3EB0000A", source="broadcast", from_me=True, channel_message_id=None)
    assert planted.value("SELECT count(*) FROM messages WHERE channel_message_id IS NULL") == 2
    assert broken(planted) == {}
    assert "message_twice" not in {c.name for c in examine(planted.engine, planted.channel)}


@pytest.mark.parametrize(
    "column", ["seen", "inserted", "updated", "unchanged", "duplicate", "filtered", "quarantined"]
)
def test_a_balance_line_that_was_changed_is_found(planted: World, column: str) -> None:
    planted.execute(
        f"UPDATE history_sync.balance SET {column} = {column} + 1 WHERE day = '2026-06-02'"
    )
    assert broken(planted) == {"balance_closes": 1}


def test_of_all_runs_together_only_the_newest_balance_of_a_day_counts(planted: World) -> None:
    balance = next(proof for proof in PROOFS if proof.name == "balance_closes")
    newest = "loaded_at = (SELECT max(loaded_at) FROM history_sync.balance)"
    planted.execute(
        "INSERT INTO history_sync.balance (run_id, channel_id, day, seen, loaded_at) "
        "SELECT gen_random_uuid(), channel_id, day, 7, loaded_at - interval '1 day' "
        "FROM history_sync.balance WHERE day = '2026-06-02'"
    )
    assert prove(planted.engine, planted.channel, balance).found == 0
    planted.execute(f"UPDATE history_sync.balance SET seen = seen + 1 WHERE {newest}")
    found = prove(planted.engine, planted.channel, balance)
    assert found.found == planted.value(f"SELECT count(*) FROM history_sync.balance WHERE {newest}")


def test_an_imported_row_without_a_key_is_found(planted: World) -> None:
    planted.execute("DELETE FROM history_sync.message_keys WHERE stanza_id = '3EB0000A'")
    assert broken(planted) == {"keys_match_rows": 1}


def test_a_key_without_its_row_is_found(planted: World) -> None:
    """The foreign key forbids it, so triggers are off for this statement."""
    with planted.engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        connection.execute(
            sa.text("DELETE FROM messages WHERE id = :id"), {"id": message_id(planted, "3EB0000A")}
        )
    assert broken(planted) == {"keys_match_rows": 1}


@pytest.mark.parametrize(
    "assignment",
    [
        "contact_id = (SELECT id FROM contacts WHERE external_id LIKE '%@g.us')",
        "chat_id = (SELECT id FROM chats WHERE chat_type = 'group')",
    ],
)
def test_a_row_that_says_something_else_than_its_key_is_found(
    planted: World, assignment: str
) -> None:
    planted.execute(
        f"UPDATE messages SET {assignment} WHERE id = :id", id=message_id(planted, "3EB0000A")
    )
    assert broken(planted)["keys_match_rows"] == 1


@pytest.mark.parametrize(
    "assignment",
    [
        "chat_id = NULL",
        "session_id = NULL",
        "agent_id = gen_random_uuid()",
        "agent_id = NULL",
        "session_id = (SELECT session_id FROM messages WHERE channel_message_id LIKE '%@g.us%')",
    ],
)
def test_an_orphan_is_found(planted: World, assignment: str) -> None:
    stranger = "UPDATE sessions SET contact_id = (SELECT id FROM contacts WHERE phone IS NULL) "
    planted.execute(
        stranger + "WHERE id IN (SELECT session_id FROM messages WHERE channel_message_id LIKE "
        "'%@g.us%') AND :moves",
        moves="session_id = (" in assignment,
    )
    before = broken(planted).get("no_orphan_message", 0)
    planted.execute(
        f"UPDATE messages SET {assignment} WHERE id = :id", id=message_id(planted, "3EB0000A")
    )
    assert broken(planted)["no_orphan_message"] == before + 1


def test_a_contact_that_is_gone_is_found(planted: World) -> None:
    with planted.engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        connection.execute(sa.text("DELETE FROM contacts WHERE phone IS NOT NULL"))
    assert broken(planted)["no_orphan_message"] == 3


@pytest.mark.parametrize("seconds", [-1, 1, 3600])
def test_a_time_that_was_moved_is_found(planted: World, seconds: int) -> None:
    planted.execute(
        "UPDATE messages SET timestamp = timestamp + make_interval(secs => :s) WHERE id = :id",
        s=seconds,
        id=message_id(planted, "3EB0000A"),
    )
    assert broken(planted) == {"original_times_kept": 1}


def test_a_sample_is_cut_and_the_count_is_not(planted: World) -> None:
    for n in range(25):
        copy(planted, "3EB0000A", channel_message_id=f"true_5511980000001@c.us_X{n}")
    proof = next(proof for proof in PROOFS if proof.name == "keys_match_rows")
    finding = prove(planted.engine, planted.channel, proof, planted.run_ids[-1])
    assert (finding.found, len(finding.sample)) == (25, 20)
