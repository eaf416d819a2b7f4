"""Runs of `message_media`, as the UI launches them: it needs no job of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from ventros_pipeline.replay.files import is_expired
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.resources import ATTENDED
from ventros_pipeline_tests.dagster_.conftest import ANA, House
from ventros_pipeline_tests.import_.world import at, message, write_account

NAMES = [f"3EB0{number:04X}" for number in range(50)]
THERE = next(name for name in NAMES if not is_expired(name))
GONE = next(name for name in NAMES if is_expired(name))
WHEN = at("2026-06-02 10:00")


@pytest.fixture(scope="module")
def accounts(
    tmp_path_factory: pytest.TempPathFactory, accounts: list[ReplayServer]
) -> Iterator[list[ReplayServer]]:
    """One WAHA server: a picture that is there, one that is gone, one that is too large."""
    rows = []
    for name, size in ((THERE, 2000), (GONE, 2000), ("3EB0FFFF", 99_000_000)):
        node = {"mimetype": "image/jpeg", "fileLength": size}
        row = message(ANA, name, WHEN, None, content={"imageMessage": node}, hasMedia=True)
        rows.append((ANA, row))
    folder = write_account(tmp_path_factory.mktemp("account") / "media", rows)
    with ReplayServer(folder, api_key=accounts[0].api_key) as server:
        yield [server]


def fetch(house: House, **config: Any) -> dg.ExecuteInProcessResult:
    job = house.defs.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=house.instance,
        raise_on_error=False,
        asset_selection=[dg.AssetKey("message_media")],
        partition_key=house.channels[0].key,
        run_config={"ops": {"message_media": {"config": config}}},
        tags={ATTENDED: "true"},
    )


def figures(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    [made] = result.asset_materializations_for_node("message_media")
    names = ("stored", "expired", "refused", "wanted", "bytes")
    metadata: Any = made.metadata
    return {name: metadata[name].value for name in names}


def test_media_is_fetched_by_itself_and_counted_by_state_and_reason(house: House) -> None:
    assert house.materialize((0, "2026-06-02")).success
    assert house.rows("SELECT * FROM history_sync.media") == []

    result = fetch(house)

    assert result.success
    assert figures(result) == {
        "stored": 1,
        "expired": 1,
        "refused": 1,
        "wanted": 0,
        "bytes": 2000,
    }
    [made] = result.asset_materializations_for_node("message_media")
    metadata: Any = made.metadata
    key = house.channels[0].key
    assert [record.data for record in metadata["files"].records] == [
        {"channel": key, "state": state, "reason": reason, "files": 1, "bytes": size}
        for state, reason, size in (
            ("expired", "gone_from_whatsapp", 0),
            ("refused", "too_large", 0),
            ("stored", "", 2000),
        )
    ]
    log = house.event_log(result)
    assert "5511980000001" not in log
    assert THERE not in log

    again = fetch(house)
    assert figures(again) == dict.fromkeys(figures(again), 0)


def test_a_run_takes_the_kinds_and_the_number_of_files_it_is_given(house: House) -> None:
    house.materialize((0, "2026-06-02"))
    assert figures(fetch(house, kinds=["video"]))["stored"] == 0
    assert house.rows("SELECT * FROM history_sync.media") == []
    assert sum(figures(fetch(house, max_files=2)).values()) >= 2
    assert len(house.rows("SELECT * FROM history_sync.media WHERE state = 'wanted'")) == 1


def test_an_unknown_kind_is_refused_before_anything_is_asked(house: House) -> None:
    result = fetch(house, kinds=["imgae"])
    assert not result.success
    assert "kinds must be some of audio, voice" in house.event_log(result)
