"""Plans in a real Postgres: ranges, what a failure means for the rest, cancelling, progress."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import IntegrityError

from ventros_pipeline.crm import ledger, lifecycle, plans
from ventros_pipeline.crm.lifecycle import AlreadyImportingError, LifecycleError, Participation
from ventros_pipeline.crm.limits import DayRange, Wish
from ventros_pipeline.crm.plans import CONFIGURATION, NOT_READY, POISON, TRANSIENT, Plan
from ventros_pipeline_tests.import_.test_lifecycle import EVENTS, column, events
from ventros_pipeline_tests.import_.world import NOW, World

LATE = DayRange(date(2026, 6, 21), date(2026, 6, 30))
MIDDLE = DayRange(date(2026, 6, 11), date(2026, 6, 20))
EARLY = DayRange(date(2026, 6, 1), date(2026, 6, 10))
RANGES = [MIDDLE, LATE, EARLY]


@pytest.fixture(autouse=True)
def enabled(world: World) -> None:
    lifecycle.enable(world.engine, world.channel)


def ask(world: World, wish: Wish | None = None, **how: Any) -> UUID:
    return plans.request(world.engine, world.channel, wish or Wish("full"), RANGES, **how)


def plan(world: World) -> Plan:
    found = plans.plan_of(world.engine, world.channel)
    assert found is not None
    return found


def states(world: World) -> list[str]:
    return [found.state for found in plan(world).ranges]


def take(world: World, now: datetime = NOW) -> plans.PlanRange:
    """Begin the range that is next."""
    current = plan(world)
    upcoming = current.next_range(now)
    assert upcoming is not None
    taken = plans.take_range(world.engine, world.channel, current.import_id, upcoming.from_day, now)
    assert taken is not None
    return taken


def finish(world: World, taken: plans.PlanRange, now: datetime = NOW, **how: Any) -> None:
    plans.end_range(world.engine, world.channel, plan(world).import_id, taken, now, **how)


def run_next(world: World, now: datetime = NOW, **how: Any) -> None:
    """Begin the next range, take part in the import as its run does, and end it."""
    taken = take(world, now)
    part = Participation(world.engine, str(plan(world).import_id))
    part.enter(world.channel, Wish())
    if how:
        part.fail(world.channel, "the run says so, too")
    part.leave()
    finish(world, taken, now, **how)


# -- a plan runs through -------------------------------------------------------------------------


def test_a_request_reserves_the_channel_and_keeps_its_ranges_newest_first(world: World) -> None:
    import_id = ask(world, Wish("time_range", 30, 500))

    found = plan(world)
    assert (found.import_id, found.driver, found.status) == (import_id, "sensor", "requested")
    assert (found.days, found.max_per_chat, found.surveyed) == (30, 500, False)
    assert [kept.days for kept in found.ranges] == [LATE, MIDDLE, EARLY]
    assert (found.days_total, found.days_done, found.seconds_left) == (30, 0, None)
    assert found.as_json()["ranges"][0]["from"] == "2026-06-21"
    assert column(world, "history_import_status") == "importing"
    assert events(world) == ["enabled", "requested"]


def test_a_request_is_refused_as_a_whole(world: World) -> None:
    with pytest.raises(IntegrityError):
        plans.request(world.engine, world.channel, Wish(), [LATE, LATE])
    assert plans.plan_of(world.engine, world.channel) is None
    assert events(world) == ["enabled"]
    with pytest.raises(LifecycleError, match="there is no day to import"):
        plans.request(world.engine, world.channel, Wish(), [])


def test_between_its_runs_a_planned_import_stays_open_and_the_last_range_completes_it(
    world: World,
) -> None:
    ask(world)
    for ahead in (2, 1):
        run_next(world)
        assert column(world, "history_import_status") == "importing"
        assert states(world).count("waiting") == ahead

    run_next(world)

    assert (plan(world).status, states(world)) == ("completed", ["done"] * 3)
    assert events(world) == ["enabled", "requested", "started", "completed"]
    assert column(world, "last_import_date") is not None
    assert plans.open_plans(world.engine) == []


def test_while_a_plan_is_open_nobody_else_begins_an_import(world: World) -> None:
    import_id = ask(world)
    run_next(world)
    # Long after the hour in which a request that nobody starts is given up.
    world.execute("UPDATE history_sync.imports SET requested_at = now() - interval '9 hours'")
    for other in ("run", "command", "sensor"):
        with pytest.raises(AlreadyImportingError, match="ventros cancel"):
            ask(world, driver=other)
    with (
        pytest.raises(AlreadyImportingError),
        lifecycle.taking_part(world.engine, world.channel, "a run of the UI", Wish()),
    ):
        pass
    assert plan(world).import_id == import_id


def test_of_two_requests_at_the_same_moment_one_is_refused(world: World) -> None:
    def attempt(_: int) -> str:
        try:
            return str(ask(world))
        except AlreadyImportingError:
            return "refused"

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(attempt, range(4)))

    assert said.count("refused") == 3
    assert str(plan(world).import_id) in said


def test_two_who_would_take_ranges_of_one_plan_get_one(world: World) -> None:
    import_id = ask(world)

    def attempt(days: DayRange) -> bool:
        taken = plans.take_range(world.engine, world.channel, import_id, days.first, NOW)
        return taken is not None

    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(attempt, [LATE, MIDDLE, EARLY, LATE]))

    assert got.count(True) == 1
    assert states(world).count("running") == 1
    assert plan(world).next_range(NOW) is None


def test_progress_counts_days_once_and_says_how_long_it_takes(world: World) -> None:
    import_id = ask(world)
    taken = take(world)
    run_ids = [world.importer().run_id for _ in range(2)]
    for run_id in run_ids:  # The second one is another try of the same days.
        ledger.start_run(world.engine, world.channel, run_id, LATE.first, LATE.last)
        lifecycle.attach_run(world.engine, world.channel, import_id, run_id)
        ledger.add_progress(world.engine, world.channel, run_id, messages_read=300)
        world.execute(
            "INSERT INTO history_sync.balance (run_id, channel_id, day, seen, inserted, updated, "
            "unchanged, duplicate, filtered, quarantined) SELECT :run, :channel, day, "
            "0, 0, 0, 0, 0, 0, 0 FROM generate_series(:first, :last, interval '1 day') AS day",
            run=run_id, channel=world.channel.id, first=LATE.first, last=LATE.last,
        )  # fmt: skip
    world.execute(
        "UPDATE history_sync.runs SET started_at = now() - interval '30 seconds', ended_at = now()"
    )
    finish(world, taken)

    found = plan(world)
    assert (found.days_done, found.days_total, found.messages, found.runs) == (10, 30, 600, 2)
    assert found.rate == pytest.approx(10)
    assert found.seconds_left == pytest.approx(120)


# -- failures ------------------------------------------------------------------------------------


def test_a_transient_failure_is_tried_again_with_longer_waits_until_it_succeeds(
    world: World,
) -> None:
    ask(world)
    now, waits = NOW, []
    for _ in range(7):
        run_next(world, now, failure=TRANSIENT, error="WAHA was down")
        again = plan(world).ranges[0].not_before
        assert again is not None
        assert plan(world).next_range(again - timedelta(seconds=1)) is None
        waits.append((again - now) // timedelta(minutes=1))
        now = again
    assert waits == [2, 4, 8, 16, 32, 60, 60]
    assert column(world, "history_import_status") == "importing"

    for _ in range(3):
        run_next(world, now)

    assert (plan(world).status, plan(world).error) == ("completed", None)
    assert plan(world).ranges[0].attempt == 8


def test_a_failure_that_does_not_pass_fails_its_range_after_eight_tries(world: World) -> None:
    ask(world)
    for _ in range(8):
        run_next(world, plan(world).ranges[0].not_before or NOW, failure=TRANSIENT, error="down")
    assert states(world) == ["failed", "waiting", "waiting"]


def test_a_session_that_is_not_ready_for_a_day_stops_the_plan(world: World) -> None:
    ask(world)
    now = NOW
    while plan(world).is_open:
        now = plan(world).ranges[0].not_before or NOW
        run_next(world, now, failure=NOT_READY, error="The session is not WORKING.")

    assert timedelta(hours=22) < now - NOW < timedelta(hours=26)
    assert states(world) == ["failed", "waiting", "waiting"]
    assert plan(world).error == "The session is not WORKING. 20 further days were not imported."


def test_configuration_stops_the_plan_and_is_noted_for_a_person(world: World) -> None:
    ask(world)
    run_next(world)
    run_next(world, failure=CONFIGURATION, error="The API key is wrong.")

    assert (plan(world).status, states(world)) == ("failed", ["done", "failed", "waiting"])
    assert plan(world).error == "The API key is wrong. 10 further days were not imported."
    assert world.rows(EVENTS)[-1]["event_data"]["Reason"] == plan(world).error
    state = ledger.channel_state(world.engine, world.channel)
    assert state.problem == "The API key is wrong."
    assert plans.open_plans(world.engine) == []


def test_a_poisoned_range_fails_alone_and_the_import_names_it_at_its_end(world: World) -> None:
    ask(world)
    run_next(world)
    run_next(world, failure=POISON, error="A row cannot be read.")
    assert column(world, "history_import_status") == "importing"
    run_next(world)

    assert (plan(world).status, states(world)) == ("failed", ["done", "failed", "done"])
    assert plan(world).error == (
        "1 of 3 ranges failed, 10 of 30 days: 2026-06-11 to 2026-06-20. "
        "What the others loaded is kept. A row cannot be read."
    )
    assert column(world, "last_import_date") is None


def test_an_older_attempt_changes_nothing(world: World) -> None:
    ask(world)
    first = take(world)
    plans.release_range(world.engine, world.channel, plan(world).import_id, first)
    second = take(world)
    assert (first.attempt, second.attempt) == (1, 2)

    finish(world, first, failure=CONFIGURATION, error="long ago")

    assert states(world) == ["running", "waiting", "waiting"]


# -- the survey ----------------------------------------------------------------------------------


def test_a_plan_is_changed_to_what_waha_holds_once_and_before_it_begins(world: World) -> None:
    import_id = ask(world)

    def survey(*ranges: DayRange) -> bool:
        return plans.replace_ranges(world.engine, world.channel, import_id, ranges, NOW)

    assert survey(LATE)
    assert (plan(world).surveyed, [kept.days for kept in plan(world).ranges]) == (True, [LATE])
    assert not survey(MIDDLE)
    assert [kept.days for kept in plan(world).ranges] == [LATE]


def test_a_plan_that_has_begun_is_not_changed(world: World) -> None:
    import_id = ask(world)
    take(world)
    assert not plans.replace_ranges(world.engine, world.channel, import_id, [EARLY], NOW)
    assert len(plan(world).ranges) == 3


# -- cancelling ----------------------------------------------------------------------------------


def test_a_cancelled_import_ends_and_its_run_in_flight_does_not_reopen_it(world: World) -> None:
    import_id = ask(world)
    taken = take(world)
    part = Participation(world.engine, str(import_id))
    part.enter(world.channel, Wish())

    assert plans.cancel(world.engine, world.channel)
    assert not plans.cancel(world.engine, world.channel)

    assert (plan(world).status, plan(world).error) == ("failed", plans.CANCELLED)
    assert states(world) == ["failed", "waiting", "waiting"]
    with pytest.raises(AlreadyImportingError):  # The run in flight has the channel still.
        ask(world)
    part.leave()
    finish(world, taken)
    assert (plan(world).status, states(world)[0]) == ("failed", "failed")
    assert plans.take_range(world.engine, world.channel, import_id, EARLY.first, NOW) is None
    assert events(world) == ["enabled", "requested", "started", "failed"]

    assert ask(world) != import_id


def test_a_run_of_an_import_that_has_ended_begins_no_new_one(world: World) -> None:
    import_id = ask(world)
    plans.cancel(world.engine, world.channel)
    with (
        pytest.raises(LifecycleError, match="the import that this run belongs to has ended"),
        lifecycle.taking_part(world.engine, world.channel, str(import_id), Wish()),
    ):
        pass
    assert events(world) == ["enabled", "requested", "failed"]


def test_nothing_is_cancelled_where_nothing_is_open(world: World) -> None:
    assert not plans.cancel(world.engine, world.channel)
    assert events(world) == ["enabled"]
