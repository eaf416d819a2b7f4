"""The job `weekly_retention`: what is of no more use goes, and nothing else."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest

from ventros_pipeline.archive import Archive
from ventros_pipeline.build import build_defs
from ventros_pipeline.crm.undo import UndoError, undo_run
from ventros_pipeline.jobs.people import IDENTITY_SWEEP
from ventros_pipeline.jobs.upkeep import WEEKLY_RETENTION
from ventros_pipeline.resources import Pipeline
from ventros_pipeline.settings import Settings, get_settings
from ventros_pipeline_tests.dagster_.conftest import START, House
from ventros_pipeline_tests.dagster_.test_sweep import metadata

LATER = timedelta(days=31)
NOTHING = {
    "hints": 0,
    "api_calls": 0,
    "changes": 0,
    "loads": 0,
    "quarantine": 0,
    "archive_days": 0,
    "archive_bytes": 0,
    "archive_files_joined": 0,
    "runs": 0,
}


class LaterPipeline(Pipeline):
    """The same, a month from now."""

    def now(self) -> datetime:
        return datetime.now(UTC) + LATER


def clean(house: House, *, later: bool = False) -> dict[str, Any]:
    """Run the job, and return what it says it deleted."""
    pipeline = {"pipeline": LaterPipeline()} if later else None
    settings = Settings(history_start=START, _env_file=None)  # type: ignore[call-arg]
    defs = build_defs(resource_overrides=pipeline, settings=settings)
    result = defs.resolve_job_def(WEEKLY_RETENTION).execute_in_process(instance=house.instance)
    return {name: value.value for name, value in metadata(result).items()}


# -- rows ----------------------------------------------------------------------------------------


def test_followed_hints_go_after_a_month_and_open_ones_never(house: House) -> None:
    house.execute(
        "INSERT INTO history_sync.hints (channel_id, event_id, event, received_at, done_at) "
        "SELECT :channel, id, 'message.any', now() - since, now() - done FROM (VALUES "
        "('old', interval '32 days', interval '31 days'), "
        "('followed late', '32 days', '29 days'), ('open', '400 days', NULL)) "
        "AS h (id, since, done)",
        channel=house.channels[0].id,
    )
    assert clean(house) == {**NOTHING, "hints": 1}
    left = house.rows("SELECT event_id FROM history_sync.hints ORDER BY 1")
    assert [row["event_id"] for row in left] == ["followed late", "open"]
    assert clean(house, later=True)["hints"] == 1


def test_calls_go_when_no_rate_limit_counts_them_any_more(house: House) -> None:
    house.execute(
        "INSERT INTO history_sync.api_calls (key_id, kind, called_at, idle_from) "
        "SELECT gen_random_uuid(), 'read', ARRAY[now()], now() + make_interval(hours => h) "
        "FROM unnest(ARRAY[-100, -1, 1]) AS h"
    )
    assert clean(house) == {**NOTHING, "api_calls": 2}


def test_a_run_can_be_undone_for_a_while_and_says_when_it_no_longer_can(house: House) -> None:
    run_id = uuid4()
    house.execute(
        "INSERT INTO history_sync.runs (run_id, channel_id, from_day, to_day, status, started_at) "
        "VALUES (:run, :channel, '2026-06-01', '2026-06-01', 'completed', "
        "now() - interval '90 days 1 second')",
        run=run_id,
        channel=house.channels[0].id,
    )
    for table, column, values in (
        ("writes", "written_at", ""),
        ("changes", "changed_at", ", 'public.contacts', gen_random_uuid(), '{}', '{}'"),
    ):
        more = ", relation, row_id, before, after" if values else ""
        house.execute(
            f"INSERT INTO history_sync.{table} (run_id, channel_id, {column}{more}) "
            f"SELECT :run, :channel, now() - age{values} "
            "FROM unnest('{90 days 1 second,89 days}'::interval[]) AS age",
            run=run_id,
            channel=house.channels[0].id,
        )
    assert clean(house) == {**NOTHING, "changes": 1}
    assert [row["n"] for row in house.rows("SELECT count(*) AS n FROM history_sync.writes")] == [1]
    with pytest.raises(UndoError, match="not on record"):
        undo_run(house.engine, str(run_id))


def test_loads_that_changed_nothing_go_when_the_day_was_loaded_again(house: House) -> None:
    """By what they changed, how old they are, and whether an import made them."""
    channel = house.channels[0].id
    imported = str(uuid4())
    house.execute(
        "INSERT INTO history_sync.imports (import_id, channel_id, run_group, strategy, partial, "
        "status) VALUES (:import, :channel, 'g', 'full', false, 'completed')",
        channel=channel,
        **{"import": imported},
    )
    loads = (
        ("idle", 100, 0, None),
        ("changed", 99, 1, None),
        ("imported", 98, 0, imported),
        ("young", 80, 0, None),
        ("last", 79, 0, None),
    )
    runs = {}
    for name, age, inserted, import_id in loads:
        runs[name] = str(uuid4())
        house.execute(
            "WITH moment AS (SELECT now() - make_interval(days => :age) AS at), run AS ("
            "INSERT INTO history_sync.runs (run_id, channel_id, from_day, to_day, status, "
            "import_id, started_at, ended_at) SELECT :run, :channel, '2026-06-02', '2026-06-02', "
            "'completed', CAST(:import AS uuid), at, at FROM moment) "
            "INSERT INTO history_sync.balance (run_id, channel_id, day, seen, inserted, loaded_at) "
            "SELECT :run, :channel, '2026-06-02', 1, :inserted, at FROM moment",
            run=runs[name],
            channel=channel,
            **{"import": import_id, "age": age, "inserted": inserted},
        )
    assert clean(house) == {**NOTHING, "loads": 1}
    for table in ("balance", "runs"):
        left = {
            str(row["id"]) for row in house.rows(f"SELECT run_id AS id FROM history_sync.{table}")
        }
        assert left == {run for name, run in runs.items() if name != "idle"}, table
    assert clean(house, later=True)["loads"] == 1
    assert clean(house, later=True)["loads"] == 0


def test_quarantine_is_kept_for_ever_unless_somebody_says_otherwise(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.execute(
        "INSERT INTO history_sync.quarantine (channel_id, row_hash, day, reason, payload, "
        "first_run, last_run, last_seen_at) SELECT :channel, days::text, '2026-06-04', 'no_id', "
        "'{}', gen_random_uuid(), gen_random_uuid(), now() - make_interval(days => days) "
        "FROM unnest(ARRAY[9, 11]) AS days",
        channel=house.channels[0].id,
    )
    assert clean(house) == NOTHING
    monkeypatch.setenv("VENTROS_QUARANTINE_KEEP_DAYS", "10")
    get_settings.cache_clear()
    assert clean(house) == {**NOTHING, "quarantine": 1}
    left = house.rows("SELECT row_hash FROM history_sync.quarantine")
    assert [row["row_hash"] for row in left] == ["9"]


# -- the archive ---------------------------------------------------------------------------------


@pytest.fixture
def archived(house: House) -> House:
    """Five days of a channel, in each state, one of them waited for by quarantine."""
    assert house.materialize((0, "2026-06-01"), (0, "2026-06-06")).success
    channel = house.channels[0].id
    states = ("settled", "settled", "exhausted", "settled", "settling", "reading")
    for number, state in enumerate(states, 1):
        house.execute(
            "UPDATE history_sync.coverage SET state = :state WHERE day = :day",
            state=state,
            day=date(2026, 6, number),
        )
    house.execute(
        "INSERT INTO history_sync.quarantine (channel_id, row_hash, day, reason, payload, "
        "first_run, last_run) VALUES (:channel, 'x', '2026-06-04', 'no_id', '{}', "
        "gen_random_uuid(), gen_random_uuid())",
        channel=channel,
    )
    return house


@pytest.fixture
def keep_days(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def keep(days: int) -> None:
        monkeypatch.setenv("VENTROS_ARCHIVE_KEEP_DAYS", str(days))
        get_settings.cache_clear()

    return keep


def days(house: House, tmp_path: Path) -> list[int]:
    archive = Archive(tmp_path / "home" / "archive")
    return [day.day for day in archive.days(house.channels[0].key)]


def test_the_archive_is_kept_for_ever_unless_somebody_says_otherwise(
    archived: House, tmp_path: Path
) -> None:
    assert clean(archived) == {**NOTHING, "archive_files_joined": 2}
    assert days(archived, tmp_path) == [1, 2, 3, 4, 5, 6]


def test_only_old_settled_days_that_nothing_waits_for_leave_the_archive(
    archived: House, tmp_path: Path, keep_days: Callable[[int], None]
) -> None:
    today = datetime.now(UTC).date()
    keep_days((today - date(2026, 6, 3)).days)
    # The first day of the calendar stays: it also holds what has no trustworthy time.
    sizes = archived_size(archived, tmp_path, 2)
    assert clean(archived) == {
        **NOTHING,
        "archive_days": 1,
        "archive_bytes": sizes,
        "archive_files_joined": 1,
    }
    assert days(archived, tmp_path) == [1, 3, 4, 5, 6]
    keep_days(31)
    assert clean(archived)["archive_days"] == 1
    assert days(archived, tmp_path) == [1, 4, 5, 6]


def test_a_day_that_left_the_archive_is_still_in_the_crm_and_can_be_read_again(
    archived: House, tmp_path: Path, keep_days: Callable[[int], None]
) -> None:
    before = archived.rows("SELECT id, xmin::text FROM messages ORDER BY id")
    keep_days(31)
    assert clean(archived)["archive_days"] == 2
    assert archived.rows("SELECT id, xmin::text FROM messages ORDER BY id") == before
    assert archived.materialize((0, "2026-06-02"), (0, "2026-06-03")).success
    assert archived.rows("SELECT id, xmin::text FROM messages ORDER BY id") == before
    assert days(archived, tmp_path) == [1, 2, 3, 4, 5, 6]


def test_settled_days_of_a_month_long_over_lie_together_and_load_as_before(
    archived: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LaterPipeline, "now", lambda _: datetime(2026, 8, 2, tzinfo=UTC))
    before = archived.rows("SELECT id, xmin::text FROM messages ORDER BY id")
    assert clean(archived) == {**NOTHING, "archive_files_joined": 2}
    folder = tmp_path / "home" / "archive" / archived.channels[0].key / "2026"
    # The first day of the calendar, and the days that still grow.
    apart = ["2026-06-01", "2026-06-05", "2026-06-06"]
    assert sorted(file.stem for file in folder.iterdir()) == ["2026-06", *apart]
    assert days(archived, tmp_path) == [1, 2, 3, 4, 5, 6]
    assert archived.materialize((0, "2026-06-01"), (0, "2026-06-06")).success
    assert archived.rows("SELECT id, xmin::text FROM messages ORDER BY id") == before


def archived_size(house: House, tmp_path: Path, day: int) -> int:
    archive = Archive(tmp_path / "home" / "archive")
    size = archive.store.size(archive.name(house.channels[0].key, date(2026, 6, day)))
    assert size
    return size


# -- Dagster's runs ------------------------------------------------------------------------------


@dg.op(config_schema={"makes": bool})
def sync_something(context: dg.OpExecutionContext) -> None:
    """Materialise a day, or find nothing to do."""
    if context.op_config["makes"]:
        context.log_event(dg.AssetMaterialization("crm_messages", partition="a|2026-06-01"))


@dg.job(name="incremental_sync")
def syncing() -> None:
    """Stand in for the job of this name."""
    sync_something()


def run_sync(house: House, *, makes: bool) -> str:
    config = {"ops": {"sync_something": {"config": {"makes": makes}}}}
    return syncing.execute_in_process(instance=house.instance, run_config=config).run_id


def test_old_runs_that_changed_nothing_go_and_those_that_made_a_day_stay(house: House) -> None:
    sweep = house.defs.resolve_job_def(IDENTITY_SWEEP)
    idle = {
        run_sync(house, makes=False),
        sweep.execute_in_process(instance=house.instance).run_id,
    }
    made = run_sync(house, makes=True)
    imported = house.materialize((0, "2026-06-02")).run_id

    assert clean(house)["runs"] == 0
    assert clean(house, later=True)["runs"] == 2

    left = set(house.instance.get_run_ids())
    assert {made, imported} < left
    assert not idle & left
    assert all(house.instance.all_logs(run_id) == [] for run_id in idle)
    made_days = house.instance.get_materialized_partitions(dg.AssetKey("crm_messages"))
    assert "a|2026-06-01" in made_days


def test_a_run_that_has_not_ended_is_left_alone(house: House) -> None:
    waiting = house.instance.create_run_for_job(
        syncing, run_config={"ops": {"sync_something": {"config": {"makes": False}}}}
    )
    assert clean(house, later=True)["runs"] == 0
    assert house.instance.has_run(waiting.run_id)


def test_the_schedule_is_off_until_a_person_turns_it_on(defs: dg.Definitions) -> None:
    [schedule] = [s for s in defs.schedules or [] if s.name == "weekly_retention"]
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.job_name == WEEKLY_RETENTION
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
