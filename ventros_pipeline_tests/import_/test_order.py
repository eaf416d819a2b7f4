"""The order of days is no matter: whatever way an import takes, the CRM holds the same bytes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date, datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from ventros_pipeline.crm import ledger
from ventros_pipeline.crm.channels import get_channel
from ventros_pipeline.crm.database import connect
from ventros_pipeline.crm.embedded import EmbeddedServer
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.buckets import S3
from ventros_pipeline_tests.conftest import fresh_database
from ventros_pipeline_tests.import_ import killed_process
from ventros_pipeline_tests.import_.conftest import START_A
from ventros_pipeline_tests.import_.world import World, content, days_between, new_world

DAYS = days_between(date(2026, 9, 1), date(2026, 9, 20))
PATIENCE = 60.0

NewWorld = Callable[[], World]


@pytest.fixture(scope="module")
def copies(
    postgres_server: EmbeddedServer,
    migrated_template: str,
    replayed_a: ReplayServer,
    now_a: datetime,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[NewWorld]:
    """Makes worlds with one project and one channel of the same ids, so that bytes can be equal."""
    with ExitStack() as open_things:
        template = open_things.enter_context(fresh_database(postgres_server.url, migrated_template))
        engine = connect(template)
        first = new_world(engine, Path(), replayed_a.url)
        engine.dispose()
        name = sa.make_url(template).database

        def copy() -> World:
            url = open_things.enter_context(fresh_database(postgres_server.url, name))
            engine = connect(url)
            open_things.callback(engine.dispose)
            channel = get_channel(engine, str(first.channel.id))
            return World(engine, tmp_path_factory.mktemp("home"), channel, START_A, now_a)

        yield copy


@pytest.fixture(scope="module")
def in_one_range(copies: NewWorld) -> dict[str, list[dict[str, Any]]]:
    world = copies()
    world.import_days(DAYS)
    whole = content(world)
    assert len(whole["messages"]) > 400
    assert len(whole["sessions"]) > 300
    return whole


def test_an_archive_in_a_bucket_gives_the_same_bytes(
    copies: NewWorld, in_one_range: dict[str, Any], s3: S3
) -> None:
    world = copies()
    world.place = s3.uri
    world.import_days(DAYS)
    assert content(world) == in_one_range
    world.assert_proved()
    assert world.archive.days(world.channel.key) == DAYS
    assert not (world.home / "archive").exists()
    # One request for a file: a day is written once, and read a few times.
    day = f"/{s3.uri.removeprefix('s3://')}/{world.archive.name(world.channel.key, DAYS[3])}"
    assert [method for method, path in s3.asked if path == day].count("PUT") == 1


def test_day_by_day_backwards_gives_the_same_bytes(
    copies: NewWorld, in_one_range: dict[str, Any]
) -> None:
    world = copies()
    for day in reversed(DAYS):
        world.import_days([day])
    assert content(world) == in_one_range
    world.assert_proved()


def test_two_overlapping_ranges_give_the_same_bytes(
    copies: NewWorld, in_one_range: dict[str, Any]
) -> None:
    world = copies()
    newer = world.import_days(DAYS[8:])
    older = world.import_days(DAYS[:13])
    assert content(world) == in_one_range
    assert older["unchanged"] > 0
    assert newer["inserted"] + older["inserted"] == len(in_one_range["messages"])
    world.assert_proved()


def test_an_import_killed_in_the_middle_goes_on_to_the_same_bytes(
    copies: NewWorld, in_one_range: dict[str, Any]
) -> None:
    world = copies()
    run_id, middle = str(uuid4()), DAYS[len(DAYS) // 2]
    ledger.start_run(world.engine, world.channel, run_id, DAYS[0], DAYS[-1])
    with world.engine.connect() as brake, brake.begin() as held:
        # The load of the middle day has written everything and waits here for its balance line,
        # so the kill falls into an open transaction, with newer days committed and older ones not.
        brake.execute(
            sa.text(
                "INSERT INTO history_sync.balance (run_id, channel_id, day, seen) "
                "VALUES (:run, :channel, :day, 0)"
            ),
            {"run": run_id, "channel": world.channel.id, "day": middle},
        )
        process = start_process(world, run_id)
        wait_until(lambda: process.poll() is None and is_waiting(world))
        process.send_signal(signal.SIGKILL)
        assert process.wait(PATIENCE) == -signal.SIGKILL
        held.rollback()
    wait_until(lambda: not connections(world))

    done = ledger.loaded_days(world.engine, world.channel, run_id)
    assert done == set(DAYS[: len(DAYS) // 2])
    kept = world.value("SELECT count(*) FROM messages")
    assert 0 < kept < len(in_one_range["messages"])
    assert kept == world.value("SELECT count(*) FROM history_sync.message_keys")

    assert start_process(world, run_id).wait(PATIENCE) == 0
    assert content(world) == in_one_range
    assert ledger.loaded_days(world.engine, world.channel, run_id) == set(DAYS)
    figures = ledger.totals(world.engine, world.channel, [run_id])
    assert figures["inserted"] == len(in_one_range["messages"])
    world.run_ids.append(run_id)
    world.assert_proved()


def start_process(world: World, run_id: str) -> subprocess.Popen[bytes]:
    url = world.engine.url.render_as_string(hide_password=False)
    arguments = [url, str(world.channel.id), str(world.home), run_id, world.now.isoformat()]
    days = [world.start.isoformat(), DAYS[0].isoformat(), DAYS[-1].isoformat()]
    return subprocess.Popen([sys.executable, "-m", killed_process.__name__, *arguments, *days])


def connections(world: World) -> list[dict[str, Any]]:
    return world.rows(
        "SELECT wait_event_type FROM pg_stat_activity "
        "WHERE application_name = :name AND datname = current_database()",
        name=killed_process.APPLICATION,
    )


def is_waiting(world: World) -> bool:
    return any(row["wait_event_type"] == "Lock" for row in connections(world))


def wait_until(true: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE
    for _ in count():
        if true():
            return
        assert time.monotonic() < limit, "it did not come true in time"
