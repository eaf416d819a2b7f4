"""How `ventros` behaves at a prompt: completion, colours, and what doctor says of Dagster."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import Engine

from ventros_pipeline import console, daemons
from ventros_pipeline.cli.completion import channel_keys
from ventros_pipeline.crm import doctor, plans
from ventros_pipeline.crm.channels import get_channel
from ventros_pipeline.crm.limits import DayRange, Wish
from ventros_pipeline.settings import Settings, get_settings
from ventros_pipeline_tests.test_cli import VENTROS, Ventros, channel, settings, ventros, waha

__all__ = ["channel", "settings", "ventros", "waha"]


def test_the_tab_key_offers_channels(channel: str, settings: dict[str, str]) -> None:
    asked = {"_VENTROS_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
    done = subprocess.run(
        [str(VENTROS)],
        check=False,
        env=os.environ | settings | asked | {"COMP_WORDS": f"ventros status {channel[:3]}"},
        capture_output=True,
        text=True,
    )
    assert (done.stdout.strip(), done.stderr) == (channel, "")
    assert [key for key, _ in channel_keys("")] == [channel]
    assert channel_keys("other") == []


@pytest.mark.parametrize("url", ["", "nonsense", "postgresql+psycopg://x@127.0.0.1:9/x"])
def test_the_tab_key_is_silent_where_there_is_no_database(
    url: str, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VENTROS_DATABASE_URL", url)
    if not url:
        monkeypatch.delenv("VENTROS_DATABASE_URL")
    get_settings.cache_clear()
    assert channel_keys("d") == []
    assert not (tmp_path / "home" / "postgres").exists()


def test_what_is_said_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Console(width=100, force_terminal=True, no_color=True, record=True)
    monkeypatch.setattr(console, "err", shown)
    monkeypatch.setattr(console, "out", shown)
    console.fail("[VENTROS_HOME] is not [bold]", see="settings in a page")
    console.table("[a]", ("name",), [("[Loja] Centro",)])
    text = shown.export_text()
    assert "error: [VENTROS_HOME] is not [bold]" in text
    assert "see settings in a page" in text
    assert "[Loja] Centro" in text


def test_sensors_that_nobody_ticks_are_a_complaint(
    ventros: Ventros, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster import DagsterInstance

    found = Settings()
    complaints, facts = daemons.examine(found)
    assert (complaints, facts) == ([], {"sensors and schedules": daemons.NONE_ON})

    class On:
        name, status = "history_sensor", daemons.InstigatorStatus.RUNNING

    monkeypatch.setattr(DagsterInstance, "all_instigator_state", lambda _: [On()])
    [complaint], facts = daemons.examine(found)
    assert (complaint.name, complaint.plan) == (
        "daemon_not_running",
        ["keep it running: ventros up"],
    )
    assert facts == {"sensors and schedules": "history_sensor"}
    said = ventros("doctor", "--json")
    assert said.code == 1
    assert [c["name"] for c in said.json["complaints"]] == ["daemon_not_running"]


def test_a_plan_that_nobody_moves_and_an_import_that_failed_are_complaints(
    ventros: Ventros, channel: str, engine: Engine
) -> None:
    ventros("channel", "enable", channel)
    found = get_channel(engine, channel)
    today = datetime.now(UTC).date()
    import_id = plans.request(engine, found, Wish(), [DayRange(today, today)])
    assert doctor.examine(engine, found) == []
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE history_sync.imports SET requested_at = requested_at - interval '4 hours'"
        )
    [complaint] = doctor.examine(engine, found)
    assert complaint.name == "plan_is_stale"
    assert f"ventros cancel {channel}" in complaint.plan[-1]

    taken = plans.take_range(engine, found, import_id, today, datetime.now(UTC), None)
    assert taken is not None
    assert doctor.examine(engine, found) == []
    now = datetime.now(UTC) + timedelta(seconds=1)
    plans.end_range(
        engine, found, import_id, taken, now, failure=plans.CONFIGURATION, error="no key"
    )
    [complaint] = doctor.examine(engine, found)
    assert (complaint.name, "no key" in complaint.says) == ("import_failed", True)
