"""Runs of `media_enrichment`, as the UI launches them: it counts until a person says otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from ventros_pipeline.replay.files import is_expired
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.resources import ATTENDED
from ventros_pipeline.settings import get_settings
from ventros_pipeline_tests.dagster_.conftest import ANA, House
from ventros_pipeline_tests.import_.world import at, message, write_account

NAMES = [name for n in range(50) if not is_expired(name := f"3EB0{n:04X}")][:3]
FIGURES = ("dry_run", "messages", "usd", "price_unknown", "possible_messages", "possible_usd")


@pytest.fixture(scope="module")
def accounts(
    tmp_path_factory: pytest.TempPathFactory, accounts: list[ReplayServer]
) -> Iterator[list[ReplayServer]]:
    """One WAHA server with three pictures."""
    node = {"mimetype": "image/jpeg", "fileLength": 2000}
    content = {"imageMessage": node}
    rows = [
        (ANA, message(ANA, name, at(f"2026-06-02 10:0{n}"), None, content=content, hasMedia=True))
        for n, name in enumerate(NAMES)
    ]
    folder = write_account(tmp_path_factory.mktemp("account") / "media", rows)
    with ReplayServer(folder, api_key=accounts[0].api_key) as server:
        yield [server]


@pytest.fixture
def loaded(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """The pictures are in the CRM, their files in the archive, and the CRM can fetch them."""
    monkeypatch.setenv("VENTROS_MEDIA_URL", "https://files.example.com")
    get_settings.cache_clear()
    assert house.materialize((0, "2026-06-02")).success
    assert launch(house, "message_media").success
    return house


def launch(house: House, asset: str, **config: Any) -> dg.ExecuteInProcessResult:
    job = house.defs.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=house.instance,
        raise_on_error=False,
        asset_selection=[dg.AssetKey(asset)],
        partition_key=house.channels[0].key,
        run_config={"ops": {asset: {"config": config}}},
        tags={ATTENDED: "true"},
    )


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    [made] = result.asset_materializations_for_node("media_enrichment")
    return dict(made.metadata)


def figures(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    found = metadata(result)
    return {name: found[name].value for name in FIGURES}


def asked(house: House) -> int:
    rows = house.rows("SELECT * FROM message_enrichments WHERE status = 'pending'")
    groups = house.rows("SELECT * FROM message_groups WHERE status = 'completed'")
    assert len(rows) == len(groups)
    return len(rows)


def test_as_it_stands_a_run_counts_and_writes_nothing(loaded: House) -> None:
    runs = loaded.rows("SELECT * FROM history_sync.runs ORDER BY started_at")

    result = launch(loaded, "media_enrichment")

    assert result.success
    assert figures(result) == {
        "dry_run": True,
        "messages": 3,
        "usd": 0.015,
        "price_unknown": 0,
        "possible_messages": 3,
        "possible_usd": 0.015,
    }
    assert asked(loaded) == 0
    assert loaded.rows("SELECT * FROM history_sync.runs ORDER BY started_at") == runs


def test_a_run_that_is_meant_asks_for_the_newest_within_the_budget(loaded: House) -> None:
    result = launch(loaded, "media_enrichment", dry_run=False, max_messages=2)
    assert result.success
    assert figures(result)["messages"] == asked(loaded) == 2
    assert figures(result)["possible_messages"] == 3
    [line, left] = [record.data for record in metadata(result)["lines"].records]
    assert (line["kind"], line["provider"], line["outcome"]) == ("image", "vision", "fits")
    assert (left["outcome"], left["messages"]) == ("over_budget", 1)
    log = loaded.event_log(result)
    assert "5511980000001" not in log
    assert "files.example.com" not in log
    assert not any(name in log for name in NAMES)

    assert figures(launch(loaded, "media_enrichment", dry_run=False))["messages"] == 1
    assert asked(loaded) == 3
    assert figures(launch(loaded, "media_enrichment", dry_run=False))["messages"] == 0
    run_ids = loaded.rows("SELECT DISTINCT metadata ->> 'run_id' AS id FROM message_enrichments")
    assert {"id": result.run_id} in run_ids
    assert len(run_ids) == 2


def test_a_run_of_the_import_asks_for_nothing(loaded: House) -> None:
    assert asked(loaded) == 0


def test_a_person_is_told_what_is_missing(house: House) -> None:
    """No address for files is set, and none was fetched."""
    assert house.materialize((0, "2026-06-02")).success
    result = launch(house, "media_enrichment", dry_run=False)
    assert result.success
    notes = [record.data["note"] for record in metadata(result)["notes"].records]
    assert any("materialise message_media" in note for note in notes)
    assert asked(house) == 0


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"kinds": ["sticker"]}, "kinds must be some of voice, audio"),
        ({"context": "chat"}, "context must be one of chat_message"),
        ({"max_usd": -1}, "greater than or equal to 0"),
    ],
)
def test_a_wrong_wish_is_refused_before_anything_is_counted(
    house: House, config: dict[str, Any], said: str
) -> None:
    result = launch(house, "media_enrichment", **config)
    assert not result.success
    assert said in house.event_log(result)


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_failure_names_its_kind_and_quotes_no_row(loaded: House, dry_run: bool) -> None:
    loaded.execute("ALTER TABLE messages ALTER media_url TYPE bytea USING '5511980000001'")
    result = launch(loaded, "media_enrichment", dry_run=dry_run)
    assert not result.success
    log = loaded.event_log(result)
    assert "unexpected UndefinedFunction 42883" in log
    assert "5511980000001" not in log


def test_without_a_budget_everything_is_asked_for(loaded: House) -> None:
    launch(loaded, "media_enrichment", dry_run=False, max_messages=None, max_usd=None)
    assert asked(loaded) == 3
