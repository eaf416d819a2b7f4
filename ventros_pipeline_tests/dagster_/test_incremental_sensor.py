"""The incremental sensor and its job: what is asked of WAHA, which runs there are, who is left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest

from ventros_pipeline.archive import Archive
from ventros_pipeline.build import build_defs
from ventros_pipeline.crm import ledger, sync
from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.turns import channel_turn
from ventros_pipeline.importer import Importer
from ventros_pipeline.jobs.incremental import INCREMENTAL_SYNC, SKIPPED, SyncConfig
from ventros_pipeline.probing import Look, look_around
from ventros_pipeline.replay.control import Fault
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.resources import Pipeline
from ventros_pipeline.sensors.incremental import incremental_sensor
from ventros_pipeline.settings import Settings, get_settings
from ventros_pipeline_tests.dagster_.conftest import ANA, BIA, START, House
from ventros_pipeline_tests.import_.world import KEY, at, days_between, message, write_account

NOW = datetime(2026, 6, 5, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TODAY = "2026-06-05"


class Clock(Pipeline):
    """A pipeline on a clock of the test's own."""

    _at: datetime = NOW

    def now(self) -> datetime:
        return type(self)._at


@pytest.fixture
def clock() -> Iterator[type[Clock]]:
    Clock._at = NOW
    yield Clock
    Clock._at = NOW


@pytest.fixture(scope="session")
def defs() -> dg.Definitions:
    return build_defs(
        resource_overrides={"pipeline": Clock()},
        settings=Settings(history_start=START, _env_file=None),  # type: ignore[call-arg]
    )


@pytest.fixture
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ReplayServer]]:
    """Two WAHA servers with a message each."""
    folder = tmp_path_factory.mktemp("accounts")
    servers = []
    for person in (ANA, BIA):
        row = message(person, f"3EB0{person[:13]}", at("2026-06-05 10:00"))
        account = write_account(folder / person, [(person, row)])
        servers.append(ReplayServer(account, api_key=KEY).start())
        servers[-1].control.wait_scale = 0
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture
def idle(house: House, accounts: list[ReplayServer], clock: type[Clock]) -> House:
    """Both channels imported and settled, and a first pass over each done."""
    imported(house)
    tick(house)
    house.execute("UPDATE history_sync.sync_state SET synced = shown")
    house.execute("UPDATE history_sync.coverage SET check_at = 'infinity'")
    reset(accounts)
    return house


def imported(house: House) -> None:
    """Import both channels, without an orchestrator: its runs take seconds."""
    days = days_between(START, NOW.date())
    for channel in house.channels:
        importer = importer_of(house, channel, run_id=str(uuid4()))
        ledger.start_run(house.engine, channel, importer.run_id, days[0], days[-1])
        importer.refresh_directory()
        list(importer.read_days(days))
        list(importer.load_days(days))


def importer_of(house: House, channel: Channel, run_id: str = "") -> Importer:
    settings = get_settings()
    archive = Archive(settings.archive_dir)
    return Importer(house.engine, archive, settings, channel, run_id, Clock._at)


def tick(house: House, cursor: str | None = None) -> dg.SensorResult:
    with dg.build_sensor_context(
        instance=house.instance, cursor=cursor, resources={"pipeline": Clock()}
    ) as context:
        result = incremental_sensor(context)
    assert isinstance(result, dg.SensorResult)
    return result


def run(house: House, ticked: dg.SensorResult) -> list[dg.ExecuteInProcessResult]:
    """Carry out the runs that a tick requested."""
    return [
        house.defs.resolve_job_def(INCREMENTAL_SYNC).execute_in_process(
            instance=house.instance,
            raise_on_error=False,
            run_config=request.run_config,
            tags=request.tags,
        )
        for request in ticked.run_requests or []
    ]


def requested(ticked: dg.SensorResult) -> dict[str, list[str]]:
    """Return the channels of each requested run, by server."""
    return {
        request.tags["ventros/waha_server"]: request.run_config["ops"]["sync_channels"]["config"][
            "channels"
        ]
        for request in ticked.run_requests or []
    }


def said(ticked: dg.SensorResult) -> str:
    reason = ticked.skip_reason
    assert isinstance(reason, dg.SkipReason)
    return str(reason.skip_message)


def reset(accounts: list[ReplayServer]) -> None:
    for server in accounts:
        server.stats.reset()


def totals(accounts: list[ReplayServer]) -> list[int]:
    return [server.stats.total for server in accounts]


def lines(result: dg.ExecuteInProcessResult) -> list[dict[str, Any]]:
    """Return what the step that succeeded or failed says of each channel."""
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.user_failure_data:
            metadata: Any = event.step_failure_data.user_failure_data.metadata
        elif event.is_successful_output:
            metadata = event.step_output_data.metadata
        else:
            continue
        return [record.data for record in metadata["channels"].records]
    raise AssertionError("the step said nothing")


def write(server: ReplayServer, person: str, stanza: str, moment: str) -> None:
    server.account.put_message(person, message(person, stanza, at(moment), "novo"))


def add_hint(house: House, channel: int) -> None:
    house.execute(
        "INSERT INTO history_sync.hints (channel_id, event_id, event, stanza_id, message_at) "
        "VALUES (:channel, 'evt', 'message.any', 'X', '2026-06-05 11:59+00')",
        channel=house.channels[channel].id,
    )


def test_idle_channels_cost_a_request_each_and_no_run(
    idle: House, accounts: list[ReplayServer]
) -> None:
    ticked = tick(idle)
    assert requested(ticked) == {}
    assert said(ticked) == "2 channels were asked and nothing is new"
    assert totals(accounts) == [1, 1]


def test_after_an_import_one_pass_fills_what_came_meanwhile(
    house: House, accounts: list[ReplayServer], clock: type[Clock]
) -> None:
    imported(house)
    write(accounts[0], ANA, "MEANWHILE", "2026-06-05 11:58")
    assert len(requested(tick(house))) == 2
    for result in run(house, tick(house)):
        assert result.success
    assert "MEANWHILE" in house.stanzas()
    clock._at = NOW + MINUTE
    assert requested(tick(house)) == {}


def test_a_changed_channel_makes_one_run_that_brings_it_in(
    idle: House, accounts: list[ReplayServer]
) -> None:
    write(accounts[0], ANA, "NEW", "2026-06-05 12:05")
    ticked = tick(idle)
    [channel, _] = idle.channels
    assert requested(ticked) == {channel.waha_server: [channel.key]}
    [result] = run(idle, ticked)
    assert result.success
    assert "NEW" in idle.stanzas()
    assert requested(tick(idle)) == {}


def test_the_run_shows_the_days_that_have_changed_and_no_others(
    idle: House, accounts: list[ReplayServer]
) -> None:
    write(accounts[0], ANA, "NEW", "2026-06-05 12:05")
    [result] = run(idle, tick(idle))
    day = idle.key(0, TODAY)
    assert shown_days(idle, result) == {("raw_messages", day): 2, ("crm_messages", day): 2}
    log = idle.event_log(result)
    assert "5511980000001" not in log
    assert KEY not in log


def shown_days(
    house: House, result: dg.ExecuteInProcessResult
) -> dict[tuple[str, str | None], Any]:
    """Return the row count of each asset and partition that the run's events show."""
    made = house.instance.get_records_for_run(
        result.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    return {
        (found.asset_key.to_user_string(), found.partition): found.metadata[
            "dagster/partition_row_count"
        ].value
        for record in made.records
        if (found := record.asset_materialization) is not None
    }


def test_a_pass_whose_proof_fails_shows_its_days_all_the_same(
    idle: House, accounts: list[ReplayServer]
) -> None:
    # Somebody removed the agent of a row that is there already; the pass rewrites no such thing.
    idle.execute("UPDATE messages SET agent_id = NULL")
    for server, person in zip(accounts, (ANA, BIA), strict=True):
        write(server, person, f"NEW{person[:13]}", "2026-06-05 12:05")
    results = {r.dagster_run.tags["ventros/waha_server"]: r for r in run(idle, tick(idle))}
    for number, channel in enumerate(idle.channels):
        result = results[channel.waha_server]
        assert not result.success
        day = idle.key(number, TODAY)
        assert shown_days(idle, result) == {("raw_messages", day): 2, ("crm_messages", day): 2}


def test_all_changed_channels_of_a_server_are_one_run(
    idle: House, accounts: list[ReplayServer]
) -> None:
    for channel in idle.channels:
        idle.execute(
            "UPDATE channels SET config = config || jsonb_build_object("
            "'base_url', CAST(:url AS text)) WHERE id = :id",
            url=accounts[0].url,
            id=channel.id,
        )
    write(accounts[0], ANA, "NEW", "2026-06-05 12:05")
    assert list(requested(tick(idle)).values()) == [sorted(c.key for c in idle.channels)]


def test_a_probe_that_fails_hides_no_other_server_and_is_not_repeated_at_once(
    idle: House, accounts: list[ReplayServer], clock: type[Clock]
) -> None:
    accounts[0].control.fault = lambda request: Fault.error(500)
    write(accounts[1], BIA, "NEW", "2026-06-05 12:05")
    ticked = tick(idle)
    assert list(requested(ticked).values()) == [[idle.channels[1].key]]
    assert totals(accounts) == [1, 1]
    run(idle, ticked)
    reset(accounts)
    assert "1 channels were asked" in said(tick(idle))
    assert totals(accounts) == [0, 1]
    accounts[0].control.fault = None
    clock._at += 2 * MINUTE
    assert "2 channels were asked" in said(tick(idle))


def test_a_session_that_is_not_ready_fails_its_pass_and_backs_off(
    idle: House, accounts: list[ReplayServer]
) -> None:
    for channel, person, server in zip(idle.channels, (ANA, BIA), accounts, strict=True):
        del channel
        write(server, person, f"NEW{person[:13]}", "2026-06-05 12:05")
    ticked = tick(idle)
    accounts[0].control.status = "SCAN_QR_CODE"
    results = {r.dagster_run.tags["ventros/waha_server"]: r for r in run(idle, ticked)}
    down, well = idle.channels
    assert not results[down.waha_server].success
    assert results[well.waha_server].success
    assert requested(tick(idle)) == {}
    assert [c.backs_off for c in sync.candidates(idle.engine, Clock._at) if c.channel == down] == [
        True
    ]


def test_a_channel_that_fails_keeps_no_other_of_its_run_waiting(
    idle: House, accounts: list[ReplayServer]
) -> None:
    write(accounts[1], BIA, "NEW", "2026-06-05 12:05")
    accounts[0].control.status = "SCAN_QR_CODE"
    result = sync_now(idle)
    assert not result.success
    assert [line["channel"] for line in lines(result)] == [idle.channels[1].key]
    assert "NEW" in idle.stanzas()


def sync_now(house: House, **config: Any) -> dg.ExecuteInProcessResult:
    return house.defs.resolve_job_def(INCREMENTAL_SYNC).execute_in_process(
        instance=house.instance,
        raise_on_error=False,
        run_config=dg.RunConfig(ops={"sync_channels": SyncConfig(**config)}),
    )


def test_hints_and_due_days_make_a_run_without_a_question(
    idle: House, accounts: list[ReplayServer]
) -> None:
    add_hint(idle, 0)
    idle.execute(
        "UPDATE history_sync.coverage SET check_at = :now WHERE channel_id = :id",
        now=NOW,
        id=idle.channels[1].id,
    )
    ticked = tick(idle)
    assert len(requested(ticked)) == 2
    assert totals(accounts) == [0, 0]
    run(idle, ticked)
    assert requested(tick(idle)) == {}


def test_no_second_run_while_one_of_the_server_is_not_over(
    idle: House, accounts: list[ReplayServer]
) -> None:
    write(accounts[0], ANA, "NEW", "2026-06-05 12:05")
    write(accounts[1], BIA, "NEW2", "2026-06-05 12:05")
    busy = idle.channels[0].waha_server
    idle.instance.create_run_for_job(
        idle.defs.resolve_job_def(INCREMENTAL_SYNC),
        tags={"ventros/waha_server": busy},
        status=dg.DagsterRunStatus.STARTED,
    )
    assert list(requested(tick(idle))) == [idle.channels[1].waha_server]
    assert totals(accounts) == [0, 1]


def test_a_channel_in_another_runs_hands_is_skipped_with_a_note(
    idle: House, accounts: list[ReplayServer]
) -> None:
    write(accounts[0], ANA, "NEW", "2026-06-05 12:05")
    with channel_turn(idle.engine, idle.channels[0], wait=0):
        result = sync_now(idle)
        assert result.success
        notes = {line["channel"]: line["note"] for line in lines(result)}
    assert notes == {idle.channels[0].key: SKIPPED, idle.channels[1].key: ""}
    assert "NEW" not in idle.stanzas()
    assert sync_now(idle).success
    assert "NEW" in idle.stanzas()


def look(house: House, *, offset: int, until: float) -> Look:
    settings = get_settings()
    return look_around(
        house.engine,
        partial(importer_of, house),
        now=Clock._at,
        start=START,
        overlap=settings.overlap,
        offset=offset,
        busy=(),
        until=until,
    )


def test_a_look_that_has_no_time_asks_nobody_and_stays_where_it_is(
    idle: House, accounts: list[ReplayServer]
) -> None:
    found = look(idle, offset=1, until=time.monotonic() - 1)
    assert (found.asked, found.offset, found.wanted) == (0, 1, {})
    assert totals(accounts) == [0, 0]


def test_a_look_goes_on_where_the_last_one_ran_out_of_time(
    idle: House, accounts: list[ReplayServer]
) -> None:
    for channel in idle.channels:
        idle.execute(
            "UPDATE channels SET config = config || jsonb_build_object("
            "'base_url', CAST(:url AS text)) WHERE id = :id",
            url=accounts[0].url,
            id=channel.id,
        )
    # The first question takes longer than there is time: the second is not asked any more.
    accounts[0].control.latency_ms = 700
    found = look(idle, offset=0, until=time.monotonic() + 0.5)
    assert (found.asked, found.offset) == (1, 1)
    accounts[0].control.latency_ms = 0
    found = look(idle, offset=found.offset, until=time.monotonic() + 30)
    assert found.asked >= 1


def test_the_tick_keeps_the_offset_and_the_moment_it_asked_as_its_cursor(idle: House) -> None:
    second = int(NOW.timestamp())
    assert tick(idle, cursor="1@0").cursor == f"1@{second}"
    for unreadable in ("nonsense", "1@noon", "@", ""):
        assert str(tick(idle, cursor=unreadable).cursor).endswith(f"@{second}")


def test_waha_is_asked_once_a_minute_and_hints_are_followed_in_between(
    idle: House, accounts: list[ReplayServer], clock: type[Clock]
) -> None:
    cursor = tick(idle).cursor
    assert totals(accounts) == [1, 1]
    clock._at += MINUTE / 2
    write(accounts[1], BIA, "UNSAID", "2026-06-05 12:00")
    add_hint(idle, 0)
    ticked = tick(idle, cursor)
    [channel, _] = idle.channels
    assert requested(ticked) == {channel.waha_server: [channel.key]}
    assert totals(accounts) == [1, 1]
    assert ticked.cursor == cursor
    run(idle, ticked)
    reset(accounts)
    assert said(tick(idle, cursor)) == "nothing is new of what is known without asking WAHA"
    clock._at += MINUTE / 2
    ticked = tick(idle, cursor)
    assert totals(accounts) == [1, 1]
    assert list(requested(ticked)) == [idle.channels[1].waha_server]


def test_the_daily_schedule_reads_the_last_days_again_and_is_off(defs: dg.Definitions) -> None:
    schedule = defs.resolve_schedule_def("settle_daily")
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    assert defs.resolve_sensor_def("incremental_sensor").default_status == (
        dg.DefaultSensorStatus.STOPPED
    )
    data = schedule.evaluate_tick(dg.build_schedule_context())
    assert data.run_requests is not None
    [request] = data.run_requests
    assert request.run_config["ops"] == {
        "sync_channels": {"config": {"channels": [], "reread_days": 7}}
    }
