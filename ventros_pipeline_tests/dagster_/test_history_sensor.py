"""The history sensor over a real WAHA replay and Postgres; its requests are run in this process."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest

from ventros_pipeline import importer
from ventros_pipeline.crm import ledger, lifecycle, plans, turns
from ventros_pipeline.crm.channels import move_channel
from ventros_pipeline.crm.lifecycle import AlreadyImportingError, Participation
from ventros_pipeline.crm.limits import DayRange, Wish
from ventros_pipeline.crm.plans import Plan
from ventros_pipeline.jobs.imports import HISTORY_IMPORT
from ventros_pipeline.partitions import CHANNEL, RANGE_END, RANGE_START
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.resources import IMPORT, PLANNED_RANGE
from ventros_pipeline.runs import RunError, import_history
from ventros_pipeline.sensors.history import history_sensor
from ventros_pipeline_tests.dagster_.conftest import (
    ANA,
    House,
    execute_requests,
    pass_time,
    requests_of,
    tick,
)
from ventros_pipeline_tests.import_.world import KEY, KEY_VARIABLE, at, message, write_account

WHOLE = [DayRange(date(2026, 6, 1), date(2026, 6, 30))]
TENS = [
    DayRange(date(2026, 6, 21), date(2026, 6, 30)),
    DayRange(date(2026, 6, 11), date(2026, 6, 20)),
    DayRange(date(2026, 6, 1), date(2026, 6, 10)),
]


def look(house: House, cursor: str | None = None) -> list[dg.RunRequest]:
    return requests_of(tick(house, history_sensor, cursor))


def go_on(house: House) -> int:
    """Let the sensor look and its requests run until it asks for nothing; return how many ran."""
    runs = 0
    while requests := look(house):
        runs += len(execute_requests(house, requests))
        assert runs < 40
    return runs


def enable(house: House, channel: int = 0, **limits: int) -> None:
    lifecycle.enable(house.engine, house.channels[channel], **limits)


def ask(house: House, ranges: list[DayRange] = TENS, wish: Wish | None = None) -> None:
    """Request an import as the API does."""
    enable(house)
    plans.request(house.engine, house.channels[0], wish or Wish("full"), ranges)


def plan(house: House, channel: int = 0) -> Plan:
    found = plans.plan_of(house.engine, house.channels[channel])
    assert found is not None
    return found


def days(house: House) -> list[tuple[str, str, str]]:
    found = plan(house).ranges
    return [(f"{r.from_day:%m-%d}", f"{r.to_day:%m-%d}", r.state) for r in found]


@pytest.fixture
def own(scripted: House, tmp_path: Path) -> Any:
    """Point the first channel at a server of this test's own."""
    servers: list[ReplayServer] = []

    def serve(*dates: str, engine: str = "noweb") -> ReplayServer:
        rows = [
            (ANA, message(ANA, f"3EB0{n:04}", at(f"{day} 10:00"), f"{n}"))
            for n, day in enumerate(dates)
        ]
        folder = write_account(tmp_path / f"own{len(servers)}", rows)
        servers.append(ReplayServer(folder, api_key=KEY, engine=engine).start())
        move_channel(scripted.engine, scripted.channels[0], servers[-1].url)
        return servers[-1]

    yield serve
    for server in servers:
        server.stop()


# -- a plan runs through -------------------------------------------------------------------------


def test_a_channel_that_was_enabled_is_imported_whole_without_anybody_starting_a_run(
    scripted: House,
) -> None:
    assert look(scripted) == []
    enable(scripted)

    go_on(scripted)

    assert scripted.stanzas() == ["3EB0000A", "3EB0000B", "3EB0000C", "3EB0000D"]
    done = plan(scripted)
    assert (done.driver, done.strategy, done.status) == ("sensor", "full", "completed")
    assert (done.days_done, done.days_total, done.messages) == (30, 30, 4)
    assert look(scripted) == []
    # Nobody ever said whether the other channel may be imported.
    assert plans.plan_of(scripted.engine, scripted.channels[1]) is None


def test_a_request_carries_what_queues_and_the_plan_know_it_by(scripted: House) -> None:
    enable(scripted)
    [request] = look(scripted)
    channel, asked = scripted.channels[0], plan(scripted)
    assert request.run_key == f"{asked.import_id}:2026-06-21:2026-06-30:1"
    assert request.tags == {
        RANGE_START: f"{channel.key}|2026-06-21",
        RANGE_END: f"{channel.key}|2026-06-30",
        "ventros/channel": channel.key,
        "ventros/waha_server": channel.waha_server,
        IMPORT: str(asked.import_id),
        PLANNED_RANGE: "2026-06-21:2026-06-30:1",
        "dagster/max_retries": "0",
    }


def test_a_channel_that_is_no_partition_yet_becomes_one_with_its_first_run(
    scripted: House,
) -> None:
    key = scripted.channels[0].key
    scripted.instance.delete_dynamic_partition(CHANNEL, key)
    enable(scripted)
    result = tick(scripted, history_sensor)
    assert isinstance(result, dg.SensorResult)
    assert result.dynamic_partitions_requests is not None
    [added] = result.dynamic_partitions_requests
    assert (added.partitions_def_name, list(added.partition_keys)) == (CHANNEL, [key])


def test_one_channel_never_has_two_ranges_running_and_two_channels_run_side_by_side(
    scripted: House,
) -> None:
    enable(scripted, 0)
    enable(scripted, 1)
    requests = look(scripted)
    assert {r.tags["ventros/channel"] for r in requests} == {c.key for c in scripted.channels}
    assert (len(requests), look(scripted), look(scripted)) == (2, [], [])

    execute_requests(scripted, requests[:1])
    assert len(look(scripted)) == 1
    for channel in (0, 1):
        assert [r.state for r in plan(scripted, channel).ranges].count("running") == 1


def test_a_plan_survives_a_restart_of_everything(scripted: House) -> None:
    enable(scripted)
    execute_requests(scripted, look(scripted))

    with dg.DagsterInstance.ephemeral() as fresh:
        # Not even the runs are known any more; the range is tried again after the grace.
        anew = House(scripted.defs, fresh, scripted.engine, scripted.channels)
        fresh.add_dynamic_partitions(CHANNEL, [scripted.channels[0].key])
        assert look(anew, cursor="not a number") == []
        pass_time(minutes=2)
        go_on(anew)

    assert plan(scripted).status == "completed"
    assert [r.attempt for r in plan(scripted).ranges] == [2, 1, 1]
    assert len(scripted.stanzas()) == 4


def test_a_plan_is_trimmed_to_what_waha_holds_and_keeps_the_first_day(
    scripted: House, own: Any
) -> None:
    """The calendar's first day also holds what is older and what has no time."""
    own("2026-06-25", "2026-06-28")
    ask(scripted)
    look(scripted)
    assert days(scripted) == [("06-25", "06-30", "running"), ("06-01", "06-01", "waiting")]


def test_a_browser_is_walked_once_in_one_range(scripted: House, own: Any) -> None:
    """Every range would cost a walk of all chats."""
    own("2026-06-12", "2026-06-28", engine="webjs")
    ask(scripted)
    go_on(scripted)
    assert days(scripted) == [("06-01", "06-30", "done")]
    assert plan(scripted).status == "completed"
    assert len(scripted.stanzas()) == 2


def test_a_limit_of_days_and_of_messages_per_chat_hold(scripted: House, own: Any) -> None:
    own("2026-06-05", "2026-06-24", "2026-06-28", "2026-06-29")
    enable(scripted, max_days=20, max_per_chat=2)
    go_on(scripted)
    assert min(r.from_day for r in plan(scripted).ranges) >= date(2026, 6, 11)
    assert scripted.stanzas() == ["3EB00002", "3EB00003"]


def test_a_request_for_fewer_messages_of_a_chat_holds_over_all_runs(
    scripted: House, own: Any
) -> None:
    own("2026-06-05", "2026-06-12", "2026-06-28", "2026-06-29")
    ask(scripted, wish=Wish("full", limit=3))
    go_on(scripted)
    assert scripted.stanzas() == ["3EB00001", "3EB00002", "3EB00003"]


# -- failures ------------------------------------------------------------------------------------


def test_a_server_that_is_down_is_tried_again_later_and_then_succeeds(
    scripted: House, accounts: list[ReplayServer]
) -> None:
    ask(scripted)
    execute_requests(scripted, look(scripted))
    move_channel(scripted.engine, scripted.channels[0], "http://127.0.0.1:9")
    [failing] = look(scripted)
    assert not execute_requests(scripted, [failing])[0].success

    assert (look(scripted), plan(scripted).status) == ([], "running")
    failed = plan(scripted).ranges[1]
    assert (failed.state, failed.failure, failed.attempt) == ("waiting", "transient", 1)
    assert "WAHA session 'default'" in str(failed.error)
    pass_time(minutes=1)
    assert look(scripted) == []

    move_channel(scripted.engine, scripted.channels[0], accounts[0].url)
    pass_time(minutes=1)
    go_on(scripted)

    assert (plan(scripted).status, plan(scripted).ranges[1].attempt) == ("completed", 2)
    assert len(scripted.stanzas()) == 4
    done = lifecycle.state_of(scripted.engine, scripted.channels[0])
    assert done.status == "completed"


def test_a_server_that_is_down_for_the_survey_is_not_hammered(scripted: House) -> None:
    ask(scripted)
    move_channel(scripted.engine, scripted.channels[0], "http://127.0.0.1:9")
    assert look(scripted) == []
    first = plan(scripted).ranges[0]
    assert (first.state, first.failure, first.attempt) == ("waiting", "transient", 1)
    assert look(scripted) == []
    assert plan(scripted).ranges[0].attempt == 1
    pass_time(minutes=2)
    assert look(scripted) == []
    assert plan(scripted).ranges[0].attempt == 2


def test_a_session_that_is_not_ready_waits_for_it(scripted: House, own: Any) -> None:
    server = own("2026-06-05", "2026-06-28")
    ask(scripted)
    requests = look(scripted)
    server.control.status = "STARTING"
    assert not execute_requests(scripted, requests)[0].success

    assert look(scripted) == []
    assert (plan(scripted).ranges[0].failure, plan(scripted).status) == ("not_ready", "running")
    server.control.status = "WORKING"
    pass_time(minutes=2)
    go_on(scripted)
    assert plan(scripted).status == "completed"


def test_a_wrong_key_stops_the_plan_and_is_noted_for_a_person(
    scripted: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(scripted)
    requests = look(scripted)
    monkeypatch.setenv(KEY_VARIABLE, "wrong")
    assert not execute_requests(scripted, requests)[0].success

    assert look(scripted) == []
    assert plan(scripted).status == "failed"
    assert "The API key is missing or wrong" in str(plan(scripted).error)
    problem = ledger.channel_state(scripted.engine, scripted.channels[0]).problem
    assert "The API key is missing or wrong" in str(problem)
    pass_time(days=2)
    assert look(scripted) == []


def test_a_wrong_key_that_the_survey_meets_stops_the_plan_as_well(
    scripted: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(scripted)
    monkeypatch.setenv(KEY_VARIABLE, "wrong")
    assert look(scripted) == []
    assert plan(scripted).status == "failed"
    assert ledger.channel_state(scripted.engine, scripted.channels[0]).problem is not None


def test_a_poisoned_range_fails_and_the_others_go_on(
    scripted: House, own: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own("2026-06-05", "2026-06-15", "2026-06-25")
    ask(scripted)
    load = importer.load_window

    def spoil(engine: Any, channel: Any, window: Any, *more: Any, **how: Any) -> Any:
        if date(2026, 6, 15) in window.days:
            raise ValueError("cannot load 'o segredo da Ana' of 5511980000001")
        return load(engine, channel, window, *more, **how)

    monkeypatch.setattr(importer, "load_window", spoil)
    go_on(scripted)

    assert [r.state for r in plan(scripted).ranges] == ["done", "failed", "done", "done"]
    done = plan(scripted)
    assert (done.status, done.ranges[1].failure) == ("failed", "poison")
    assert "1 of 4 ranges failed, 10 of 27 days: 2026-06-11 to 2026-06-20." in str(done.error)
    assert "unexpected ValueError" in str(done.error)
    assert "segredo" not in str(done.as_json())
    assert scripted.stanzas() == ["3EB00000", "3EB00002"]


def test_a_check_that_fails_fails_its_range(
    scripted: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(scripted, WHOLE)
    load = importer.Importer.load_days

    def open_balance(self: Any, *arguments: Any, **how: Any) -> Any:
        yield from load(self, *arguments, **how)
        scripted.execute("UPDATE history_sync.balance SET seen = seen + 1")

    monkeypatch.setattr(importer.Importer, "load_days", open_balance)
    go_on(scripted)
    assert {r.failure for r in plan(scripted).ranges} == {"poison"}
    assert "check balance_closes" in str(plan(scripted).error)


# -- runs that come to nothing -------------------------------------------------------------------


def dead_run(house: House, request: dg.RunRequest) -> str:
    """Make a run whose process was killed while it read, as Dagster goes on believing in it."""
    run = house.instance.create_run_for_job(
        house.defs.resolve_job_def(HISTORY_IMPORT),
        tags=dict(request.tags),
        status=dg.DagsterRunStatus.STARTED,
    )
    channel, first = house.channels[0], plan(house).ranges[0]
    ledger.start_run(house.engine, channel, run.run_id, first.from_day, first.to_day)
    lifecycle.attach_run(house.engine, channel, plan(house).import_id, run.run_id)
    return run.run_id


def age(house: House) -> None:
    house.execute("UPDATE history_sync.runs SET started_at = now() - interval '2 minutes'")


def test_a_request_that_never_became_a_run_is_made_again(scripted: House) -> None:
    ask(scripted)
    [lost] = look(scripted)
    pass_time(minutes=1)
    assert look(scripted) == []
    pass_time(minutes=1)
    [again] = look(scripted)
    assert again.run_key != lost.run_key
    assert again.tags[RANGE_START] == lost.tags[RANGE_START]


def test_a_run_whose_process_is_gone_is_given_up_and_its_range_tried_again(
    scripted: House,
) -> None:
    ask(scripted)
    run_id = dead_run(scripted, look(scripted)[0])
    assert look(scripted) == []
    assert plan(scripted).ranges[0].state == "running"

    age(scripted)
    assert look(scripted) == []

    assert plan(scripted).ranges[0].state == "waiting"
    run = scripted.instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.FAILURE
    pass_time(minutes=2)
    go_on(scripted)
    assert plan(scripted).status == "completed"


def test_a_run_that_is_slow_is_left_alone(scripted: House) -> None:
    ask(scripted)
    dead_run(scripted, look(scripted)[0])
    age(scripted)
    part = Participation(scripted.engine, str(plan(scripted).import_id))
    part.enter(scripted.channels[0], Wish())
    pass_time(hours=5)
    assert look(scripted) == []
    assert plan(scripted).ranges[0].state == "running"
    part.leave()


def test_a_run_that_was_cancelled_in_the_ui_is_tried_again(scripted: House) -> None:
    ask(scripted)
    [request] = look(scripted)
    scripted.instance.create_run_for_job(
        scripted.defs.resolve_job_def(HISTORY_IMPORT),
        tags=dict(request.tags),
        status=dg.DagsterRunStatus.CANCELED,
    )
    assert look(scripted) == []
    assert plan(scripted).ranges[0].failure == "transient"
    pass_time(minutes=2)
    assert len(look(scripted)) == 1


def test_a_queued_run_of_a_cancelled_import_reads_nothing(scripted: House) -> None:
    ask(scripted)
    requests = look(scripted)
    assert plans.cancel(scripted.engine, scripted.channels[0])
    assert not execute_requests(scripted, requests)[0].success
    assert (look(scripted), scripted.stanzas()) == ([], [])
    assert plan(scripted).error == plans.CANCELLED


def test_a_channel_that_is_turned_off_stops_after_the_run_in_flight(scripted: House) -> None:
    ask(scripted)
    execute_requests(scripted, look(scripted))
    requests = look(scripted)
    lifecycle.disable(scripted.engine, scripted.channels[0])
    assert execute_requests(scripted, requests)[0].success
    assert look(scripted) == []
    assert [r.state for r in plan(scripted).ranges] == ["done", "done", "waiting"]
    assert "was turned off" in str(plan(scripted).error)


# -- whoever starts it meets in the same plan and lock -------------------------------------------


def test_a_run_of_the_ui_is_refused_while_a_plan_is_open(scripted: House) -> None:
    ask(scripted)
    execute_requests(scripted, look(scripted))
    assert not scripted.materialize((0, "2026-06-02")).success
    go_on(scripted)
    assert plan(scripted).status == "completed"
    assert scripted.materialize((0, "2026-06-02")).success


def test_a_command_is_refused_while_a_plan_is_open(scripted: House) -> None:
    ask(scripted)
    channel = scripted.channels[0]
    with pytest.raises(AlreadyImportingError, match="it is being imported already"):
        import_history(scripted.defs, scripted.instance, scripted.engine, channel, TENS)
    go_on(scripted)
    assert plan(scripted).status == "completed"


def test_a_request_is_refused_while_a_run_of_the_ui_or_a_command_goes_on(scripted: House) -> None:
    enable(scripted)
    with (
        lifecycle.taking_part(scripted.engine, scripted.channels[0], str(uuid4()), Wish()),
        pytest.raises(AlreadyImportingError),
    ):
        ask(scripted)
    assert look(scripted) == []


def test_two_ticks_at_the_same_time_request_one_run(scripted: House) -> None:
    """Both have read the plan before either has taken a range."""
    ask(scripted)
    taken: list[Any] = []
    real = plans.take_range

    def late(*arguments: Any, **how: Any) -> Any:
        if not taken:
            taken.append("the other tick")
            taken.append(look(scripted))
        return real(*arguments, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans, "take_range", late)
        mine = look(scripted)
    assert (len(mine), len(taken[1])) == (0, 1)


def test_a_run_of_a_plan_waits_for_whoever_has_the_channels_turn(
    scripted: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(scripted)
    requests = look(scripted)
    monkeypatch.setattr(
        "ventros_pipeline.resources.channel_turn",
        lambda engine, channel, *, wait: turns.channel_turn(engine, channel, wait=0),
    )
    with turns.channel_turn(scripted.engine, scripted.channels[0], wait=0):
        assert not execute_requests(scripted, requests)[0].success
    assert look(scripted) == []
    failed = plan(scripted).ranges[0]
    assert (failed.failure, failed.state) == ("transient", "waiting")
    assert "another run reads or loads channel" in str(failed.error)
    pass_time(minutes=2)
    go_on(scripted)
    assert plan(scripted).status == "completed"


def test_a_command_keeps_its_plan_and_one_that_was_cancelled_stops_at_the_next_range(
    scripted: House,
) -> None:
    channel = scripted.channels[0]
    seen: list[Plan] = []

    def cancel(run_id: str, planned: DayRange) -> None:
        seen.append(plan(scripted))
        if len(seen) == 2:
            plans.cancel(scripted.engine, channel)

    with pytest.raises(RunError, match="it was cancelled"):
        import_history(
            scripted.defs, scripted.instance, scripted.engine, channel, TENS, watch=cancel
        )

    assert [found.driver for found in seen] == ["command", "command"]
    assert [r.state for r in seen[1].ranges] == ["done", "waiting", "waiting"]
    assert (plan(scripted).status, plan(scripted).error) == ("failed", plans.CANCELLED)
    assert look(scripted) == []


def test_what_a_budget_leaves_comes_first_the_next_time(
    scripted: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    enable(scripted, 0)
    enable(scripted, 1)
    first = tick(scripted, history_sensor)
    assert isinstance(first, dg.SensorResult)
    monkeypatch.setattr("ventros_pipeline.sensors.history.BUDGET_SECONDS", 0.0)
    second = tick(scripted, history_sensor, "1")
    assert isinstance(second, dg.SensorResult)
    assert (first.cursor, second.cursor) == ("0", "1")
    assert requests_of(second) == []
