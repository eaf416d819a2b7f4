"""Runs of the UI, backfills and the command as imports of the channel's lifecycle."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import dagster as dg
import pytest

from ventros_pipeline import importer
from ventros_pipeline.crm import lifecycle, plans
from ventros_pipeline.crm.limits import DayRange, Wish
from ventros_pipeline.importer import Importer
from ventros_pipeline.jobs.imports import HISTORY_IMPORT
from ventros_pipeline.resources import BACKFILL, IMPORT
from ventros_pipeline.runs import RunError, import_history, today
from ventros_pipeline_tests.dagster_.conftest import SECRET_TEXT, House
from ventros_pipeline_tests.import_.world import KEY

PHONE = "5511980000001"
PLAN = [
    DayRange(date(2026, 6, 4), date(2026, 6, 5)),
    DayRange(date(2026, 6, 2), date(2026, 6, 3)),
]
ALL = ["enabled", "requested", "started", "completed"]


def events(house: House, channel: int = 0) -> list[dict[str, Any]]:
    return house.rows(
        "SELECT replace(event_type, 'channel.history_import.', '') AS name, event_data AS data "
        "FROM outbox_events WHERE aggregate_id = :id ORDER BY created_at",
        id=house.channels[channel].id,
    )


def names(house: House, channel: int = 0) -> list[str]:
    return [event["name"] for event in events(house, channel)]


def column(house: House, name: str, channel: int = 0) -> Any:
    rows = house.rows(f"SELECT {name} FROM channels WHERE id = :id", id=house.channels[channel].id)
    return rows[0][name]


def import_all(house: House, **how: Any) -> None:
    import_history(house.defs, house.instance, house.engine, house.channels[0], PLAN, **how)


def spoil(_: object, *rows: object, **more: object) -> None:
    raise ValueError(f"cannot load {SECRET_TEXT!r} of {PHONE}")


def test_a_run_of_the_ui_is_an_import_of_its_channel(house: House) -> None:
    assert house.materialize((0, "2026-06-02"), (0, "2026-06-05")).success

    assert names(house) == ALL
    asked, done = events(house)[1]["data"], events(house)[-1]["data"]
    assert asked["strategy"] == "time_range"
    assert today() - timedelta(days=asked["time_range_days"] - 1) == date(2026, 6, 2)
    assert column(house, "history_import_status") == "completed"
    assert column(house, "last_import_date") is not None
    stats = column(house, "history_import_stats")
    assert (stats["total"], stats["processed"], stats["failed"]) == (4, 4, 0)
    assert done["Stats"] == stats


def test_a_rectangle_is_one_import_of_each_channel(house: House) -> None:
    assert house.materialize((0, "2026-06-02"), (1, "2026-06-04")).success
    assert (names(house, 0), names(house, 1)) == (ALL, ALL)
    assert column(house, "history_import_stats", 1)["processed"] == 2


def test_many_runs_of_a_command_are_one_import(house: House) -> None:
    seen: list[tuple[str, int]] = []

    def watch(run_id: str, days: DayRange) -> None:
        stats = column(house, "history_import_stats")
        seen.append((column(house, "history_import_status"), stats["processed"]))

    import_all(house, wish=Wish("full"), max_per_chat=10, watch=watch)

    assert names(house) == ALL
    assert (events(house)[1]["data"]["strategy"], events(house)[1]["data"]["limit"]) == ("full", 10)
    assert seen == [("importing", 0), ("importing", 1)]
    assert column(house, "history_import_stats")["processed"] == 4
    runs = house.rows("SELECT count(*) AS runs FROM history_sync.runs GROUP BY import_id")
    assert runs == [{"runs": 2}]


def test_progress_is_readable_while_a_command_runs(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    load = Importer.load_days

    def watched(self: Importer, *arguments: Any, **how: Any) -> Any:
        seen.append(plans.plan_of(house.engine, self.channel))
        yield from load(self, *arguments, **how)

    monkeypatch.setattr(Importer, "load_days", watched)
    import_all(house)

    counts = [(p.driver, p.status, p.runs, p.messages, p.days_done) for p in seen]
    assert counts == [("command", "running", 1, 1, 0), ("command", "running", 2, 4, 2)]
    assert [[r.state for r in p.ranges] for p in seen] == [
        ["running", "waiting"],
        ["done", "running"],
    ]
    assert seen[0].seconds_left is None
    assert seen[1].seconds_left > 0


def test_a_failed_run_fails_its_import_with_a_reason_and_can_be_repeated(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(importer, "load_window", spoil)
        with pytest.raises(RunError, match="unexpected ValueError"):
            import_all(house)

    assert names(house) == [*ALL[:3], "failed"]
    assert column(house, "history_import_status") == "failed"
    reason = events(house)[-1]["data"]["Reason"]
    assert "unexpected ValueError" in reason
    for secret in (SECRET_TEXT, PHONE, KEY):
        assert secret not in reason

    import_all(house)
    assert column(house, "history_import_status") == "completed"
    assert len(house.stanzas()) == 4


def test_a_check_that_fails_fails_the_import_whose_days_were_loaded(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Importer.load_days

    def open_balance(self: Importer, *arguments: Any, **how: Any) -> Any:
        yield from load(self, *arguments, **how)
        house.execute("UPDATE history_sync.balance SET seen = seen + 1")

    monkeypatch.setattr(Importer, "load_days", open_balance)
    assert not house.materialize((0, "2026-06-02")).success

    assert names(house) == [*ALL[:3], "failed"]
    assert events(house)[-1]["data"]["Reason"].startswith("check balance_closes: ")


def test_an_interrupted_run_fails_its_import(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importer, "load_window", interrupt)
    assert not house.materialize((0, "2026-06-02")).success

    assert names(house) == [*ALL[:3], "failed"]
    assert events(house)[-1]["data"]["Reason"] == lifecycle.SILENT
    assert house.rows("SELECT status FROM history_sync.runs") == [{"status": "failed"}]


def test_a_second_run_is_refused_while_one_runs(house: House) -> None:
    with lifecycle.taking_part(house.engine, house.channels[0], "somebody", Wish()):
        result = house.materialize((0, "2026-06-02"))
        other = house.materialize((1, "2026-06-03"))

    assert (result.success, other.success) == (False, True)
    [event] = [event for event in result.all_events if event.is_step_failure]
    said = event.step_failure_data.user_failure_data
    assert said is not None
    assert "it is being imported already" in str(said.description)
    assert "run the same days again later" in str(said.description)
    assert names(house) == ALL


@pytest.mark.parametrize("tag", [BACKFILL, IMPORT])
def test_runs_of_one_backfill_are_not_refused(house: House, tag: str) -> None:
    with lifecycle.taking_part(house.engine, house.channels[0], "abcdefgh", Wish()):
        assert house.materialize((0, "2026-06-02"), tags={tag: "abcdefgh"}).success
        assert names(house) == ALL[:3]
    assert names(house) == ALL
    assert column(house, "history_import_stats")["processed"] == 1


def test_filling_the_archive_alone_is_no_import(house: House) -> None:
    result = house.defs.resolve_job_def(HISTORY_IMPORT).execute_in_process(
        instance=house.instance,
        partition_key=house.key(0, "2026-06-02"),
        asset_selection=[dg.AssetKey("raw_messages")],
        raise_on_error=False,
    )
    assert result.success
    assert names(house) == []
    assert column(house, "history_import_status") == "idle"


def test_a_channel_that_was_turned_off_is_not_imported_from_the_ui(house: House) -> None:
    lifecycle.disable(house.engine, house.channels[0])
    assert not house.materialize((0, "2026-06-02")).success
    assert house.stanzas() == []
    assert names(house) == []


def test_a_limit_of_days_holds_in_runs_of_the_ui(house: House) -> None:
    limit = (today() - date(2026, 6, 3)).days + 1
    house.execute("UPDATE channels SET history_import_max_days = :n", n=limit)
    result = house.materialize((0, "2026-06-02"), (0, "2026-06-05"))
    assert result.success
    assert house.stanzas() == ["3EB0000B", "3EB0000C", "3EB0000D"]
    shown: Any = result.asset_materializations_for_node("raw_messages")[-1].metadata
    assert "1 days before 2026-06-03 were left out" in shown["notes"].value


def test_a_run_of_days_beyond_the_limit_imports_nothing(house: House) -> None:
    house.execute("UPDATE channels SET history_import_max_days = 1")
    assert house.materialize((0, "2026-06-02")).success
    assert house.stanzas() == []
    assert column(house, "history_import_stats")["total"] == 0
