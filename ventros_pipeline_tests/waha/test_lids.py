"""One LID asked for alone: what each engine answers, and what an old server does."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.waha.client import WahaClient, WahaServer
from ventros_pipeline.waha.errors import (
    WahaConfigurationError,
    WahaError,
    WahaNotReadyError,
    WahaUnsupportedError,
)
from ventros_pipeline_tests.import_.world import write_account

ANA, LID = "5511980000001@c.us", "210000000000001@lid"


def answering(status: int, body: object) -> WahaClient:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json=body))
    server = WahaServer("http://waha.test:3000", "default", attempts=1)
    return WahaClient(server, transport=transport)


@pytest.mark.parametrize("engine", ["noweb", "gows", "webjs", "wpp"])
def test_a_known_lid_has_a_number_and_an_unknown_one_none(engine: str, tmp_path: Path) -> None:
    folder = write_account(tmp_path / "account", [], lids={LID: ANA})
    with ReplayServer(folder, engine=engine) as replay:
        server = WahaServer(replay.url, "default", replay.api_key, attempts=1)
        with WahaClient(server) as client:
            assert client.phone_of_lid(LID) == ANA
            assert client.phone_of_lid("210000000000009@lid") is None
            with pytest.raises(WahaConfigurationError):
                client.phone_of_lid(ANA)


@pytest.mark.parametrize(
    ("pn", "phone"),
    [
        ("5511980000001@s.whatsapp.net", ANA),
        ("5511980000001:4@s.whatsapp.net", ANA),
        (None, None),
        ("", None),
        ("0@c.us", None),
        ("210000000000002@lid", None),
        ({"user": "5511980000001"}, None),
    ],
)
def test_only_a_phone_address_is_a_number(pn: object, phone: str | None) -> None:
    with answering(200, {"lid": LID, "pn": pn}) as client:
        assert client.phone_of_lid(LID) == phone


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (404, {"message": "Cannot GET /api/default/lids/x", "error": "Not Found"}, None),
        (501, {"message": "Not Implemented"}, None),
        (404, {"message": "Session not found"}, WahaConfigurationError),
        (401, {"message": "Unauthorized"}, WahaConfigurationError),
        (422, {"status": "STOPPED", "expected": ["WORKING"]}, WahaNotReadyError),
    ],
)
def test_a_server_without_the_endpoint_is_told_from_one_that_needs_mending(
    status: int, body: object, error: type[WahaError] | None
) -> None:
    with answering(status, body) as client, pytest.raises(WahaError) as raised:
        client.phone_of_lid(LID)
    assert type(raised.value) is (error or WahaUnsupportedError)
    assert "2100000" not in str(raised.value)
