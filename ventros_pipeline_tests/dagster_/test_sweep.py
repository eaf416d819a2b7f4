"""The job `identity_sweep` and its schedule: every channel is asked, whatever one of them says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from ventros_pipeline.jobs.people import IDENTITY_SWEEP
from ventros_pipeline.replay.control import Fault
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.dagster_.conftest import ANA, BIA, House
from ventros_pipeline_tests.import_.world import KEY, at, message, write_account

ANA_LID, BIA_LID = "210000000000001@lid", "210000000000002@lid"
LID_OF = {ANA: ANA_LID, BIA: BIA_LID}
PHONES = "SELECT phone FROM contacts WHERE deleted_at IS NULL ORDER BY phone"


@pytest.fixture
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ReplayServer]]:
    """Two WAHA servers, each with one person who is known by a LID alone."""
    folder = tmp_path_factory.mktemp("accounts")
    servers = []
    for person, lid in LID_OF.items():
        row = message(lid, f"3EB0{lid[:15]}", at("2026-06-02 10:00"))
        account = write_account(folder / person, [(lid, row)])
        servers.append(ReplayServer(account, api_key=KEY).start())
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture
def unresolved(house: House, accounts: list[ReplayServer]) -> House:
    """Both accounts imported, and WAHA knowing the numbers only now."""
    assert house.materialize((0, "2026-06-02"), (1, "2026-06-02")).success
    assert house.rows(PHONES) == [{"phone": None}, {"phone": None}]
    for server, (person, lid) in zip(accounts, LID_OF.items(), strict=True):
        server.account.map_lid(lid, person)
    return house


def sweep(house: House, **config: Any) -> dg.ExecuteInProcessResult:
    return house.defs.resolve_job_def(IDENTITY_SWEEP).execute_in_process(
        instance=house.instance,
        raise_on_error=False,
        run_config={"ops": {"sweep_people": {"config": config}}},
    )


def metadata(result: dg.ExecuteInProcessResult) -> Any:
    """Return what the step that succeeded or failed says of itself."""
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.user_failure_data:
            return event.step_failure_data.user_failure_data.metadata
        if event.is_successful_output:
            return event.step_output_data.metadata
    raise AssertionError("the step said nothing")


def said(result: dg.ExecuteInProcessResult) -> str:
    [event] = [event for event in result.all_events if event.is_step_failure]
    assert event.step_failure_data.user_failure_data is not None
    return str(event.step_failure_data.user_failure_data.description)


def lines(result: dg.ExecuteInProcessResult) -> list[dict[str, Any]]:
    return [record.data for record in metadata(result)["channels"].records]


def test_all_channels_are_swept_in_one_run(unresolved: House) -> None:
    result = sweep(unresolved)

    assert result.success
    assert unresolved.rows(PHONES) == [{"phone": f"+551198000000{n}"} for n in (1, 2)]
    counts = {"asked": 1, "learned": 1, "merged": 0, "note": ""}
    assert lines(result) == [
        {"channel": key, **counts} for key in sorted(c.key for c in unresolved.channels)
    ]
    log = unresolved.event_log(result)
    assert "5511980000001" not in log
    assert "210000000000001" not in log


def test_a_waha_that_is_down_is_reported_at_the_end_and_stops_no_other(unresolved: House) -> None:
    down, well = unresolved.channels
    unresolved.execute(
        'UPDATE channels SET config = config || \'{"base_url": "http://127.0.0.1:9"}\' '
        f"WHERE id = '{down.id}'"
    )

    result = sweep(unresolved)

    assert not result.success
    assert said(result).startswith(f"Channel {down.key}")
    assert well.key not in said(result)
    assert metadata(result)["failed"].value == 1
    assert [line["channel"] for line in lines(result)] == [well.key]
    assert unresolved.rows(PHONES) == [{"phone": "+5511980000002"}, {"phone": None}]
    assert KEY not in unresolved.event_log(result)


def test_an_old_server_is_a_note_and_no_failure(
    unresolved: House, accounts: list[ReplayServer]
) -> None:
    accounts[0].control.fault = lambda request: (
        Fault.error(404) if request.template.endswith("/lids/{lid}") else None
    )
    result = sweep(unresolved)
    assert result.success
    notes = {line["channel"]: line["note"] for line in lines(result)}
    assert "a newer WAHA does" in notes[unresolved.channels[0].key]
    assert notes[unresolved.channels[1].key] == ""


def test_a_channel_with_nobody_to_ask_about_is_left_alone(
    unresolved: House, accounts: list[ReplayServer]
) -> None:
    assert sweep(unresolved).success
    before = [server.stats.as_dict() for server in accounts]
    result = sweep(unresolved)
    assert result.success
    assert lines(result) == []
    assert [server.stats.as_dict()["requests"] for server in accounts] == [
        stats["requests"] for stats in before
    ]


def test_the_schedule_is_off_until_a_person_turns_it_on(defs: dg.Definitions) -> None:
    [schedule] = [s for s in defs.schedules or [] if s.name == "identity_sweep_hourly"]
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.job_name == IDENTITY_SWEEP
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    assert schedule.cron_schedule == "17 * * * *"
