"""Runs of the import job: over real HTTP, into a real Postgres, as the UI launches them."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from ventros_pipeline import importer
from ventros_pipeline.crm.ledger import COUNTS
from ventros_pipeline.partitions import CHANNEL, DATE
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.dagster_.conftest import SECRET_TEXT, House
from ventros_pipeline_tests.import_.world import KEY

PHONE = "5511980000001"
LID = "210000000000001@lid"
STANZA_A = "SELECT id FROM messages WHERE channel_message_id LIKE '%3EB0000A'"
MAKE_BARE = """
    UPDATE messages SET channel_message_id = '3EB0000A'
    WHERE channel_message_id LIKE '%3EB0000A'
"""
KNOW_LID = f"""
    INSERT INTO history_sync.identities (project_id, address, contact_id)
    SELECT project_id, '{LID}', contact_id FROM history_sync.identities
    WHERE address = '{PHONE}@c.us'
"""
PLANT = """
    INSERT INTO messages
    SELECT (jsonb_populate_record(m, jsonb_build_object(
        'id', '5a1e0000-0000-4000-8000-000000000000', 'source', 'history_import',
        'channel_message_id', CAST(:waha_id AS text)
    ))).*
    FROM messages AS m WHERE m.channel_message_id LIKE '%3EB0000A'
"""


def evaluations(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {found.check_name: found.passed for found in result.get_asset_check_evaluations()}


def failure(result: dg.ExecuteInProcessResult) -> str:
    """Return what the step that failed says."""
    [event] = [event for event in result.all_events if event.is_step_failure]
    said = event.step_failure_data.user_failure_data
    assert said is not None
    return str(said.description)


def test_one_day_alone_refreshes_the_directory_and_proves_itself(house: House) -> None:
    result = house.materialize((0, "2026-06-02"))

    assert result.success
    assert house.stanzas() == ["3EB0000A"]
    assert house.rows("SELECT name FROM contacts") == [{"name": "Ana Souza"}]
    [state] = house.rows("SELECT directory_read_at, engine FROM history_sync.channel_state")
    assert state["directory_read_at"] is not None
    directory = dg.AssetKey("channel_directory")
    assert house.instance.get_materialized_partitions(directory) == {house.channels[0].key}
    found = evaluations(result)
    assert len(found) == 7
    assert all(found.values())


def test_a_range_of_days_is_one_run_with_a_count_for_each_day(house: House) -> None:
    result = house.materialize((0, "2026-06-02"), (0, "2026-06-05"))

    assert result.success
    assert house.stanzas() == ["3EB0000A", "3EB0000B", "3EB0000C", "3EB0000D"]
    counts = {
        house.key(0, "2026-06-02"): 1,
        house.key(0, "2026-06-03"): 2,
        house.key(0, "2026-06-04"): 0,
        house.key(0, "2026-06-05"): 1,
    }
    assert house.row_counts(result, "raw_messages") == counts
    assert house.row_counts(result, "crm_messages") == counts


def test_a_rectangle_of_two_channels_and_three_days_is_one_run(house: House) -> None:
    result = house.materialize((0, "2026-06-02"), (1, "2026-06-04"))

    assert result.success
    assert house.stanzas() == ["3EB0000A", "3EB0000B", "3EB0000C", "3EB0000E", "3EB0000F"]
    assert house.row_counts(result, "crm_messages") == {
        house.key(0, "2026-06-02"): 1,
        house.key(0, "2026-06-03"): 2,
        house.key(0, "2026-06-04"): 0,
        house.key(1, "2026-06-02"): 0,
        house.key(1, "2026-06-03"): 1,
        house.key(1, "2026-06-04"): 1,
    }
    assert all(evaluations(result).values())


def test_a_loaded_asset_carries_its_balance_and_its_columns(house: House) -> None:
    result = house.materialize((0, "2026-06-02"), (0, "2026-06-03"))

    loaded = result.asset_materializations_for_node("crm_messages")
    first, second = sorted(loaded, key=lambda found: str(found.partition))
    assert [m.metadata["inserted"].value for m in (first, second)] == [1, 2]  # type: ignore[misc]
    metadata: Any = second.metadata
    assert "balance" not in first.metadata
    lines = [record.data for record in metadata["balance"].records]
    assert lines == [
        {"channel": house.channels[0].key, "day": day, **dict.fromkeys(COUNTS, 0)}
        | {"seen": rows, "inserted": rows}
        for day, rows in (("2026-06-02", 1), ("2026-06-03", 2))
    ]
    spec: Any = house.defs.resolve_asset_graph().get(dg.AssetKey("crm_messages")).metadata
    columns = {c.name: c.type for c in spec["dagster/column_schema"].schema.columns}
    assert columns["id"] == "uuid"
    assert "channel_message_id" in columns


def test_a_second_run_of_the_same_days_rewrites_nothing(house: House) -> None:
    versions = "SELECT id, xmin::text FROM messages ORDER BY id"
    house.materialize((0, "2026-06-02"), (0, "2026-06-05"))
    before = house.rows(versions)

    result = house.materialize((0, "2026-06-02"), (0, "2026-06-05"))

    loaded: Any = [m.metadata for m in result.asset_materializations_for_node("crm_messages")]
    assert [sum(m[name].value for m in loaded) for name in ("seen", "unchanged")] == [4, 4]
    assert house.rows(versions) == before


def test_a_range_launched_from_the_job_page_reads_all_of_its_days(house: House) -> None:
    """Dagster tags such a run with its first partition, too, and would read that one only."""
    channel = house.channels[0].key
    tags = {f"dagster/partition/{CHANNEL}": channel, f"dagster/partition/{DATE}": "2026-06-02"}

    result = house.materialize((0, "2026-06-02"), (0, "2026-06-05"), tags=tags)

    assert result.success
    assert len(house.stanzas()) == 4
    assert len(house.row_counts(result, "crm_messages")) == 4


@pytest.mark.parametrize(
    ("waha_id", "check"),
    [
        (f"false_{PHONE}@c.us_3EB0000A", "no_message_twice_by_key"),
        (f"false_{LID}_3EB0000A", "no_message_twice_by_person"),
        ("3EB0000A", "no_message_twice_by_person"),
    ],
    ids=["the same id", "under the other address", "full and bare"],
)
def test_a_planted_duplicate_fails_the_run_through_its_check(
    house: House, waha_id: str, check: str
) -> None:
    house.materialize((0, "2026-06-02"))
    if check == "no_message_twice_by_key":
        # The unique index forbids two full ids; the CRM itself may hold the first one bare.
        house.execute(MAKE_BARE)
    house.execute(KNOW_LID)
    house.execute(PLANT, waha_id=waha_id)
    rows = {str(row["id"]) for row in house.rows(STANZA_A)}
    assert len(rows) == 2

    result = house.materialize((0, "2026-06-02"))

    assert not result.success
    [failed] = [e for e in result.get_asset_check_evaluations() if e.check_name == check]
    assert not failed.passed
    assert any(row in str(failed.metadata["sample"].value) for row in rows)
    log = house.event_log(result)
    assert SECRET_TEXT not in log
    assert PHONE not in log


def test_a_waha_that_is_down_fails_the_run_in_a_sentence(house: House) -> None:
    house.execute(
        'UPDATE channels SET config = config || \'{"base_url": "http://127.0.0.1:9"}\' '
        f"WHERE id = '{house.channels[0].id}'"
    )

    result = house.materialize((0, "2026-06-02"))

    assert not result.success
    said = failure(result)
    assert said.startswith(f"Channel {house.channels[0].key}, 2026-06-02: WAHA session 'default'")
    assert "What was read or loaded before is kept." in said
    assert "run the same days again later" in said
    [run] = house.rows("SELECT status, error FROM history_sync.runs")
    assert run == {"status": "failed", "error": said}
    assert KEY not in house.event_log(result)


def test_a_wrong_key_names_the_repair(house: House, accounts: list[ReplayServer]) -> None:
    key, accounts[0].control.api_key = accounts[0].control.api_key, "another"
    try:
        result = house.materialize((0, "2026-06-02"))
    finally:
        accounts[0].control.api_key = key

    assert not result.success
    assert "The API key is missing or wrong" in failure(result)
    assert "once that is mended" in failure(result)


def test_an_unforeseen_error_leaves_no_row_in_the_event_log(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(*rows: Any, **more: Any) -> None:
        raise ValueError(f"cannot load {SECRET_TEXT!r} of {PHONE}")

    monkeypatch.setattr(importer, "load_window", spoil)

    result = house.materialize((0, "2026-06-02"))

    assert not result.success
    assert "unexpected ValueError" in failure(result)
    log = house.event_log(result)
    assert SECRET_TEXT not in log
    assert PHONE not in log


def test_the_report_says_that_the_balance_closes(house: House) -> None:
    house.materialize((0, "2026-06-02"), (0, "2026-06-05"))

    result = house.report(0)

    metadata: Any = result.asset_materializations_for_node("import_report")[0].metadata
    assert metadata["balance_closes"].value is True
    assert metadata["messages"].value == 4
    assert (metadata["people"].value, metadata["sessions"].value) == (1, 3)
    assert metadata["complete"].value == 0
    assert metadata["days_missing"].value > 0
    assert metadata["verdict"].value in metadata["report"].value.replace("\\", "")
    assert metadata["next_command"].value.startswith(f"ventros import {house.channels[0].key} ")
    assert "](data:image/svg+xml;base64," in metadata["report"].value
    assert metadata["identity_precision"].value == 1.0
    assert metadata["identity_recall"].value >= 0.98
    assert metadata["identity_pairs"].value >= 300
