from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from ventros_pipeline.waha.client import WahaClient, WahaServer
from ventros_pipeline.waha.health import Health, examine

STORE = {"noweb": {"store": {"enabled": True, "fullSync": True}}}


def examined(
    *,
    config: dict[str, Any] | None = None,
    version: dict[str, str] | int | None = None,
    status: str = "WORKING",
    engine: str = "NOWEB",
) -> Health:
    """Examine a session that answers so."""
    session = {"name": "default", "status": status, "engine": {"engine": engine}}
    answers: dict[str, Any] = {"/api/sessions/default": session | {"config": config or STORE}}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path in answers:
            return httpx.Response(200, content=json.dumps(answers[request.url.path]))
        if isinstance(version, int):
            return httpx.Response(version, json={})
        return httpx.Response(200, json=version or {"version": "2026.7.1", "tier": "CORE"})

    server = WahaServer("http://waha.invalid", "default", attempts=1)
    with WahaClient(server, transport=httpx.MockTransport(answer)) as client:
        return examine(client)


def test_a_session_that_is_well_gives_facts_and_no_problem() -> None:
    health = examined()
    assert health.problems == []
    assert health.facts == {
        "waha": "2026.7.1 NOWEB CORE",
        "waha_session": "WORKING",
        "waha_key": "of the whole server",
    }


def test_a_key_of_one_session_is_told_from_one_of_the_server() -> None:
    assert examined(version=403).facts["waha_key"] == "of this session alone"


@pytest.mark.parametrize(
    ("name", "hinders", "how"),
    [
        ("waha_session_not_working", True, {"status": "SCAN_QR_CODE"}),
        ("waha_refuses", True, {"version": 401}),
        ("waha_unreachable", True, {"version": 500}),
        ("waha_store_off", True, {"config": {"noweb": {"store": {"enabled": False}}}}),
        ("waha_store_off", True, {"config": {"noweb": None}}),
        ("waha_store_is_short", False, {"config": {"noweb": {"store": {"enabled": True}}}}),
        ("waha_engine_unknown", True, {"engine": "OTHER"}),
        ("waha_is_old", False, {"version": {"version": "2025.9.8"}}),
    ],
)
def test_each_thing_that_is_wrong_is_named_with_its_cure(
    name: str, hinders: bool, how: dict[str, Any]
) -> None:
    [problem] = examined(**how).problems
    assert (problem.name, problem.hinders) == (name, hinders)
    assert problem.cure
    assert problem.says


def test_an_engine_without_a_store_of_its_own_is_not_asked_for_one() -> None:
    assert examined(engine="GOWS", config={"gows": {}}).problems == []
