"""The sensors of alerts, over runs that really failed, to a webhook on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator

import dagster as dg
import pytest

from ventros_pipeline.crm import ledger
from ventros_pipeline.resources import ATTENDED
from ventros_pipeline.sensors.alerts import NOBODY, failure_alert, problem_alert
from ventros_pipeline.settings import get_settings
from ventros_pipeline_tests.dagster_.conftest import (
    HISTORY_IMPORT,
    RANGE_END,
    RANGE_START,
    SECRET_TEXT,
    House,
    ScriptedPipeline,
    tick,
)
from ventros_pipeline_tests.dagster_.test_runs import MAKE_BARE, PLANT
from ventros_pipeline_tests.hook import Hook, hooked
from ventros_pipeline_tests.import_.world import KEY_VARIABLE


@pytest.fixture
def hook(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    with hooked() as hook:
        monkeypatch.setenv("VENTROS_ALERT_URL", hook.url)
        get_settings.cache_clear()
        yield hook


def run(house: House, day: str) -> dg.ExecuteInProcessResult:
    """Run a day that nobody waits for, as the daemon does."""
    ends = {RANGE_START: house.key(0, day), RANGE_END: house.key(0, day)}
    return house.defs.resolve_job_def(HISTORY_IMPORT).execute_in_process(
        instance=house.instance, raise_on_error=False, tags=ends
    )


def alert(house: House, result: dg.ExecuteInProcessResult) -> str | None:
    """Let the sensor see that a run failed; return why nobody was told."""
    [event] = [e for e in result.all_events if e.event_type == dg.DagsterEventType.RUN_FAILURE]
    context = dg.build_run_status_sensor_context(
        sensor_name="failure_alert",
        dagster_event=event,
        dagster_instance=house.instance,
        dagster_run=result.dagster_run,
        resources={"pipeline": ScriptedPipeline()},
    ).for_run_failure()
    with context:
        said = failure_alert(context)
    assert said is None or isinstance(said, dg.SkipReason)
    return said and said.skip_message


def test_a_check_that_fails_a_run_is_told_with_a_link_to_the_run(house: House, hook: Hook) -> None:
    assert run(house, "2026-06-02").success
    house.execute(MAKE_BARE)
    house.execute(PLANT, waha_id="true_5511980000001@c.us_3EB0000A")
    failed = run(house, "2026-06-02")
    assert not failed.success
    assert alert(house, failed) is None
    [body] = hook.posted
    key = house.channels[0].key
    assert body["title"].startswith(f"Check failed on {key}: ")
    assert f"keys_match_rows: 1 times on channel {key}, 2026-06-02" in body["what"]
    assert (body["from"], body["to"]) == ("2026-06-02", "2026-06-02")
    assert body["link"] == f"http://127.0.0.1:3000/runs/{failed.run_id}"
    said = json.dumps(hook.posted, ensure_ascii=False)
    assert SECRET_TEXT not in said
    assert "5511980000001" not in said
    assert alert(house, failed) is not None  # It was told.


def test_a_channel_that_needs_a_person_is_told_once_and_a_dead_webhook_fails_nothing(
    house: House, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "a wrong key")
    failed = run(house, "2026-06-03")
    hook.answers = [(404, {})]
    assert "answered 404" in str(alert(house, failed))
    assert alert(house, failed) is None
    key = house.channels[0].key
    assert [body["title"] for body in hook.posted[1:]] == [f"{key} needs a person"]
    assert hook.posted[1]["link"].endswith(failed.run_id)
    ledger.clear_problem(house.engine, house.channels[0])
    said = tick(house, problem_alert)
    assert isinstance(said, dg.SkipReason)
    assert said.skip_message == f"{key} can be read again"
    assert hook.posted[-1]["status"] == "resolved"
    assert "a wrong key" not in json.dumps(hook.posted)


def test_nobody_is_told_of_what_a_person_waits_for_or_without_an_address(
    house: House, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "a wrong key")
    failed = house.materialize((0, "2026-06-03"))
    assert failed.dagster_run.tags[ATTENDED]
    assert "waits for it" in str(alert(house, failed))
    monkeypatch.delenv("VENTROS_ALERT_URL")
    get_settings.cache_clear()
    assert alert(house, failed) == NOBODY
    assert hook.posted == []
