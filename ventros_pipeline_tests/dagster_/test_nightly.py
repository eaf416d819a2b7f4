"""The job `nightly_checks`: every imported channel is proved and reported, whatever one shows."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from ventros_pipeline.crm.checks import PROOFS, TIMES_KEPT
from ventros_pipeline.jobs.upkeep import NIGHTLY_CHECKS
from ventros_pipeline.resources import ATTENDED
from ventros_pipeline_tests.dagster_.conftest import SECRET_TEXT, House
from ventros_pipeline_tests.dagster_.test_sweep import metadata, said

PLANT = """
    INSERT INTO messages
    SELECT (jsonb_populate_record(m, jsonb_build_object(
        'id', gen_random_uuid(), 'source', 'webhook', 'channel_message_id', '3EB0000A'
    ))).*
    FROM messages AS m WHERE m.channel_message_id LIKE '%3EB0000A'
"""
EVERY_PROOF = [proof.name for proof in (*PROOFS, TIMES_KEPT)]


@pytest.fixture
def imported(house: House) -> House:
    """Both channels, imported."""
    assert house.materialize((0, "2026-06-02"), (1, "2026-06-05")).success
    return house


def check(house: House) -> dg.ExecuteInProcessResult:
    return house.defs.resolve_job_def(NIGHTLY_CHECKS).execute_in_process(
        instance=house.instance, raise_on_error=False, tags={ATTENDED: "true"}
    )


def reports(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """Return the metadata of each channel's report in a run."""
    return {
        str(event.partition): {
            name: value.value for name, value in event.materialization.metadata.items()
        }
        for event in result.all_events
        if event.is_step_materialization and event.asset_key == dg.AssetKey("import_report")
    }


def shown(house: House, result: dg.ExecuteInProcessResult) -> str:
    log = house.event_log(result)
    assert SECRET_TEXT not in log
    assert "5511980000001" not in log
    return said(result)


def test_all_channels_are_proved_and_reported_in_one_run(imported: House) -> None:
    result = check(imported)

    assert result.success
    keys = sorted(channel.key for channel in imported.channels)
    assert [record.data for record in metadata(result)["proofs"].records] == [
        {"channel": key, "check": name, "found": 0} for key in keys for name in EVERY_PROOF
    ]
    found = reports(result)
    assert sorted(found) == keys
    by_asset = imported.report(0).asset_materializations_for_node("import_report")[0].metadata
    assert found[imported.channels[0].key] == {n: v.value for n, v in by_asset.items()}
    assert found[imported.channels[1].key]["messages"] == 2


def test_a_finding_fails_the_run_after_all_channels_were_looked_at(imported: House) -> None:
    imported.execute(PLANT)
    imported.execute(
        "UPDATE messages SET timestamp = timestamp + interval '1 hour' "
        "WHERE channel_message_id LIKE '%3EB0000C' OR channel_message_id LIKE '%3EB0000F'"
    )
    first, second = (channel.key for channel in imported.channels)

    result = check(imported)

    assert not result.success
    problems = shown(imported, result).splitlines()
    assert sorted(problem.partition(", 2026-06-0")[0] for problem in problems) == sorted(
        [
            f"check no_message_twice_by_person: 1 times on channel {first}",
            f"check original_times_kept: 1 times on channel {first}",
            f"check original_times_kept: 1 times on channel {second}",
        ]
    )
    assert all(problem.endswith(".") for problem in problems)
    assert metadata(result)["problems"].value == 3
    assert sorted(reports(result)) == sorted([first, second])


def test_a_damaged_archive_hides_no_other_channel(imported: House, tmp_path: Any) -> None:
    broken, well = (channel.key for channel in imported.channels)
    file = next((tmp_path / "home" / "archive" / broken).rglob("2026-06-03.parquet"))
    file.write_bytes(b"not parquet")

    result = check(imported)

    assert not result.success
    assert shown(imported, result).startswith(f"Channel {broken}")
    assert "2026-06-03.parquet is damaged" in shown(imported, result)
    assert list(reports(result)) == [well]


def test_a_channel_that_was_never_imported_is_not_looked_at(house: House) -> None:
    assert house.materialize((1, "2026-06-03")).success
    result = check(house)
    assert result.success
    assert list(reports(result)) == [house.channels[1].key]


def test_the_schedule_is_off_until_a_person_turns_it_on(defs: dg.Definitions) -> None:
    [schedule] = [s for s in defs.schedules or [] if s.name == "nightly_checks"]
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.job_name == NIGHTLY_CHECKS
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
