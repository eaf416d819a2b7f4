"""`ventros enrich`: the count and the cost first, and a request only with `--yes`."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from ventros_pipeline.replay.files import is_expired
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.import_.world import (
    KEY,
    World,
    at,
    message,
    new_world,
    write_account,
)
from ventros_pipeline_tests.test_cli import ANA, Ventros, settings, ventros

__all__ = ["settings", "ventros"]
NAMES = [name for n in range(50) if not is_expired(name := f"3EB0{n:04X}")][:3]


@pytest.fixture
def pictures(
    ventros: Ventros, engine: Engine, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> World:
    """Three pictures in the CRM, their files in the archive, and a server that gives them."""
    monkeypatch.setenv("VENTROS_MEDIA_URL", "https://files.example.com")
    home = Path(settings["VENTROS_HOME"])
    content = {"imageMessage": {"mimetype": "image/jpeg", "fileLength": 2000}}
    rows = [
        (ANA, message(ANA, name, at(f"2026-06-02 10:0{n}"), None, content=content, hasMedia=True))
        for n, name in enumerate(NAMES)
    ]
    with ReplayServer(write_account(home.parent / "account", rows), api_key=KEY) as server:
        world = new_world(engine, home, server.url)
        world.import_days()
        world.importer().fetch_media(("image",), max_files=10)
    return world


def asked(world: World) -> int:
    return int(world.value("SELECT count(*) FROM message_enrichments"))


def test_without_a_yes_it_says_what_it_would_cost_and_writes_nothing(
    ventros: Ventros, pictures: World
) -> None:
    said = ventros("enrich", pictures.channel.key, "--json").json
    assert (said["asked"], said["messages"], said["usd"]) == (False, 3, 0.015)
    assert said["channel"] == pictures.channel.key
    shown = ventros("enrich", pictures.channel.key, "--max-messages", "2")
    assert shown.out.startswith("2 of 3 messages fit the budget: 0.01 of 0.01 USD")
    assert "--yes asks the CRM" in shown.err
    assert "files.example.com" not in shown.out + shown.err
    assert asked(pictures) == 0


def test_with_a_yes_it_asks_within_the_budget_and_the_next_one_goes_on(
    ventros: Ventros, pictures: World
) -> None:
    two = ("enrich", pictures.channel.key, "--max-usd", "0.01", "--yes", "--json")
    said = ventros(*two).json
    assert (said["asked"], said["messages"], said["left_out"]) == (True, 2, {"over_budget": 1})
    assert asked(pictures) == 2
    shown = ventros("enrich", pictures.channel.key, "--yes")
    assert shown.out.startswith("1 of 1 messages asked for")
    assert asked(pictures) == 3


def test_kinds_that_are_not_named_are_left_out(ventros: Ventros, pictures: World) -> None:
    said = ventros(
        "enrich", pictures.channel.key, "--kinds", "voice", "--kinds", "audio", "--yes", "--json"
    ).json
    assert (said["messages"], said["left_out"]) == (0, {"kind_not_asked_for": 3})
    assert asked(pictures) == 0


@pytest.mark.parametrize(
    "wrong", [("--kinds", "sticker"), ("--context", "chat"), ("--max-usd", "-1")]
)
def test_a_wrong_wish_is_misuse(ventros: Ventros, wrong: tuple[str, str]) -> None:
    said = ventros("enrich", "anything", *wrong, "--yes")
    assert said.code == 2
