"""What the code location holds, written by hand: a change here is a change users see."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import dagster as dg
import pytest
import typer
from sqlalchemy import Engine

from ventros_pipeline.cli.app import app
from ventros_pipeline.crm.checks import PROOFS, TIMES_KEPT
from ventros_pipeline.metadata import DIRECTORY
from ventros_pipeline.partitions import CHANNEL, DATE, RANGE_END, RANGE_START, repair_range

ASSETS = {
    "channel_directory": ("1_read", ["channel"], []),
    "raw_messages": ("1_read", ["channel", "date"], ["channel_directory"]),
    "crm_messages": ("2_load", ["channel", "date"], ["raw_messages"]),
    "message_media": ("2_load", ["channel"], ["crm_messages"]),
    "media_enrichment": ("2_load", ["channel"], ["crm_messages", "message_media"]),
    "import_report": ("3_report", ["channel"], ["crm_messages"]),
}
JOBS = {
    "history_import": ["crm_messages", "raw_messages"],
    "channel_report": ["import_report"],
}
CHECKS = [
    "balance_closes",
    "keys_match_rows",
    "no_message_twice_by_key",
    "no_message_twice_by_person",
    "no_orphan_message",
    "one_tenant",
    "original_times_kept",
]
LOAD = """
import dagster as dg
from ventros_pipeline.definitions import defs
dg.Definitions.validate_loadable(defs)
print(*sorted(key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()))
"""


def dimensions(partitions: dg.PartitionsDefinition | None) -> list[str]:
    if isinstance(partitions, dg.MultiPartitionsDefinition):
        return [dimension.name for dimension in partitions.partitions_defs]
    assert isinstance(partitions, dg.DynamicPartitionsDefinition)
    return [str(partitions.name)]


def test_the_code_location_loads_in_a_fresh_interpreter() -> None:
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD], env=environment, check=True, capture_output=True, text=True
    )
    assert loaded.stdout.split() == sorted(ASSETS)


def test_the_assets_are_these(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    found = {}
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        parents = sorted(parent.to_user_string() for parent in node.parent_keys)
        found[key.to_user_string()] = (node.group_name, dimensions(node.partitions_def), parents)
    assert found == ASSETS


def test_the_date_assets_take_any_rectangle_in_one_run(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    for name in ("raw_messages", "crm_messages"):
        assert graph.get(dg.AssetKey(name)).backfill_policy == dg.BackfillPolicy.single_run()


def test_the_checks_are_the_proofs_and_all_of_them_block(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    keys = list(graph.asset_check_keys)
    assert sorted(key.name for key in keys) == CHECKS
    assert sorted(proof.name for proof in (*PROOFS, TIMES_KEPT)) == CHECKS
    for key in keys:
        assert key.asset_key == dg.AssetKey("crm_messages")
        assert graph.get_check_spec(key).blocking


def test_the_jobs_run_these_assets(defs: dg.Definitions) -> None:
    found = {}
    for name in JOBS:
        layer = defs.resolve_job_def(name).asset_layer
        found[name] = sorted(key.to_user_string() for key in layer.selected_asset_keys)
    assert found == JOBS


def test_what_asks_waha_by_itself_is_off_until_a_person_turns_it_on(defs: dg.Definitions) -> None:
    sensors = {sensor.name: sensor for sensor in defs.sensors or []}
    assert {"channel_sensor", "history_sensor"} <= sensors.keys()
    for sensor in sensors.values():
        assert isinstance(sensor, dg.SensorDefinition)
        assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
        assert sensor.description
    for schedule in defs.schedules or []:
        assert isinstance(schedule, dg.ScheduleDefinition)
        assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED


def test_every_asset_says_what_it_is_and_whose(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    for name in ASSETS:
        node = graph.get(dg.AssetKey(name))
        assert node.description
        assert node.owners
        assert node.kinds


@pytest.mark.parametrize("name", ASSETS)
def test_every_asset_teaches_when_to_run_it_and_what_to_do_when_it_fails(
    defs: dg.Definitions, name: str
) -> None:
    node = defs.resolve_asset_graph().get(dg.AssetKey(name))
    said = node.description or ""
    for heading in ("When to materialise it", "What its figures mean", "When it fails"):
        assert f"**{heading}" in said
    for command in re.findall(r"`ventros (\w+)", said):
        assert command in typer.main.get_command(app).commands  # type: ignore[attr-defined]


def test_columns_are_described_and_come_from_columns_that_exist(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    columns = {}
    for name in ("channel_directory", "raw_messages", "crm_messages"):
        schema: Any = graph.get(dg.AssetKey(name)).metadata["dagster/column_schema"].value
        assert [column.name for column in schema.columns if not column.description] == []
        columns[name] = {column.name for column in schema.columns}
    lineage: Any = graph.get(dg.AssetKey("crm_messages")).metadata["dagster/column_lineage"].value
    assert lineage.deps_by_column.keys() <= columns["crm_messages"]
    for sources in lineage.deps_by_column.values():
        for source in sources:
            assert source.column_name in columns[source.asset_key.to_user_string()]


def test_the_directory_has_the_columns_that_its_page_shows(engine: Engine) -> None:
    with engine.connect() as connection:
        result = connection.exec_driver_sql("SELECT * FROM history_sync.directory")
        assert set(result.keys()) == {"channel_id", "listed_at", *DIRECTORY}


def test_a_range_run_that_a_job_backfill_launched_covers_its_range() -> None:
    first = {f"dagster/partition/{CHANNEL}": "a", f"dagster/partition/{DATE}": "2026-06-01"}
    ends = {RANGE_START: "a|2026-06-01", RANGE_END: "a|2026-06-30"}
    ranged = dg.DagsterRun("history_import", tags=first | ends)
    single = dg.DagsterRun("history_import", tags=first)

    for run in (ranged, single):
        repair_range(run)

    assert ranged.tags == ends
    assert single.tags == first
