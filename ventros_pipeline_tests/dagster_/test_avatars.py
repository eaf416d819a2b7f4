"""The job `contact_avatars`: a person starts it, it asks a little, and the next run goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from ventros_pipeline.jobs.people import CONTACT_AVATARS
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.dagster_.conftest import ANA, BIA, House
from ventros_pipeline_tests.dagster_.test_sweep import lines, said
from ventros_pipeline_tests.import_.world import KEY, at, message, shown, write_account

CAIO = "5511980000003@s.whatsapp.net"
PICTURES = "SELECT count(profile_picture_url) AS found FROM contacts"


@pytest.fixture
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ReplayServer]]:
    """Two WAHA servers, with the pictures of two people and of one."""
    folder = tmp_path_factory.mktemp("accounts")
    servers = []
    for name, people in (("first", (ANA, BIA)), ("second", (CAIO,))):
        rows = [(who, message(who, f"3EB0{who[:13]}", at("2026-06-02 10:00"))) for who in people]
        faces = [
            {"id": shown(who), "name": "x", "picture": f"https://pps.example/{who[:13]}.jpg"}
            for who in people
        ]
        account = write_account(folder / name, rows)
        (account / "overview.json").write_text(json.dumps(faces))
        servers.append(ReplayServer(account, api_key=KEY).start())
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture
def imported(house: House) -> House:
    assert house.materialize((0, "2026-06-02"), (1, "2026-06-02")).success
    assert house.rows(PICTURES) == [{"found": 0}]
    return house


def fetch(house: House, **config: Any) -> dg.ExecuteInProcessResult:
    return house.defs.resolve_job_def(CONTACT_AVATARS).execute_in_process(
        instance=house.instance,
        raise_on_error=False,
        run_config={"ops": {"ask_for_pictures": {"config": config}}},
    )


def test_a_run_is_bounded_for_each_channel_and_the_next_one_goes_on(imported: House) -> None:
    keys = sorted(channel.key for channel in imported.channels)
    first = fetch(imported, max_contacts=1)
    assert first.success
    assert lines(first) == [{"channel": key, "found": 1, "note": ""} for key in keys]
    assert imported.rows(PICTURES) == [{"found": 2}]
    assert lines(fetch(imported)) == [{"channel": imported.channels[0].key, "found": 1, "note": ""}]
    assert imported.rows(PICTURES) == [{"found": 3}]
    assert lines(fetch(imported)) == []
    assert "5511980000001" not in imported.event_log(first)


def test_a_waha_that_is_down_is_reported_at_the_end_and_stops_no_other(
    imported: House, accounts: list[ReplayServer]
) -> None:
    accounts[0].stop()
    result = fetch(imported)
    assert not result.success
    assert said(result).startswith(f"Channel {imported.channels[0].key}")
    assert [line["channel"] for line in lines(result)] == [imported.channels[1].key]


def test_nothing_starts_it_but_a_person(defs: dg.Definitions) -> None:
    started = [schedule.job_name for schedule in defs.schedules or []]
    assert CONTACT_AVATARS not in started
    assert CONTACT_AVATARS not in {
        target.job_name for sensor in defs.sensors or [] for target in sensor.targets
    }
