from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from ventros_pipeline.waha.client import Engine, WahaClient, WahaServer, _retry_after
from ventros_pipeline.waha.errors import (
    WahaConfigurationError,
    WahaError,
    WahaGarbledError,
    WahaNotReadyError,
    WahaProtocolError,
    WahaTransientError,
)

from .server import SESSION, VERSION

SHARED = Path(__file__).parents[2].parent / "shared" / "reference"
KEY = "very-secret-key"
CHAT = "5511988887777@c.us"
Answer = httpx.Response | Exception


def client_of(answer: Callable[[httpx.Request], httpx.Response], **settings: object) -> WahaClient:
    server = WahaServer("http://waha.test:3000/", "default", KEY, **settings)  # type: ignore[arg-type]
    return WahaClient(server, transport=httpx.MockTransport(answer))


def script(*answers: Answer) -> Callable[[httpx.Request], httpx.Response]:
    left = list(answers)

    def answer(_: httpx.Request) -> httpx.Response:
        step = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(step, Exception):
            raise step
        return step

    return answer


def waha(request: httpx.Request) -> httpx.Response:
    answers: dict[str, object] = {
        "/api/sessions/default": SESSION,
        "/api/server/version": VERSION,
    }
    return httpx.Response(200, json=answers[request.url.path])


def test_a_probe_tells_version_engine_and_own_addresses() -> None:
    with client_of(waha) as client:
        probe = client.probe()
    assert (probe.version, probe.version_tuple) == ("2026.4.1", (2026, 4, 1))
    assert (probe.engine, probe.tier, probe.session_status) == (Engine.NOWEB, "CORE", "WORKING")
    assert probe.me.push_name == "Conta Teste"
    assert probe.me.own_addresses == {"5511990000000@c.us", "199900000000001@lid"}


def test_a_session_that_is_not_working_is_told_at_once() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json={**SESSION, "status": "SCAN_QR_CODE"})

    with (
        client_of(answer) as client,
        pytest.raises(WahaNotReadyError, match="SCAN_QR_CODE") as failure,
    ):
        client.probe()
    assert failure.value.session_status == "SCAN_QR_CODE"
    assert asked == ["/api/sessions/default"]


def test_a_key_that_may_not_ask_the_version_still_learns_the_engine() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/sessions/default":
            return httpx.Response(200, json={**SESSION, "engine": {"engine": "GOWS"}, "me": None})
        return httpx.Response(403, json={"statusCode": 403})

    with client_of(answer) as client:
        probe = client.probe()
    assert (probe.engine, probe.version, probe.version_tuple) == (Engine.GOWS, None, ())
    assert probe.me.own_addresses == frozenset()


def test_an_old_server_tells_its_version_elsewhere() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/server/version":
            return httpx.Response(404, json={})
        return httpx.Response(200, json=VERSION if request.url.path == "/api/version" else SESSION)

    with client_of(answer) as client:
        assert client.probe().version == "2026.4.1"


def test_an_unknown_engine_is_unknown() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        known = request.url.path == "/api/sessions/default"
        return httpx.Response(200, json=SESSION if known else {**VERSION, "engine": "NEXT"})

    with client_of(answer) as client:
        assert client.probe().engine is Engine.UNKNOWN


def test_messages_are_asked_with_everything_explicit_and_returned_byte_for_byte() -> None:
    seen: list[httpx.Request] = []
    body = b'[{"id":"a", "n":1.50}, {"body":"\\u00e7"}]'

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=body)

    with client_of(answer) as client:
        rows = client.messages(CHAT, limit=7, offset=3, gte=10, lte=20, order="desc", from_me=True)
    assert rows == [b'{"id":"a", "n":1.50}', b'{"body":"\\u00e7"}']
    request = seen[0]
    assert (
        request.url.raw_path.split(b"?")[0] == b"/api/default/chats/5511988887777%40c.us/messages"
    )
    assert request.headers["X-Api-Key"] == KEY
    assert dict(request.url.params) == {
        "limit": "7",
        "offset": "3",
        "sortOrder": "desc",
        "downloadMedia": "false",
        "merge": "false",
        "filter.timestamp.gte": "10",
        "filter.timestamp.lte": "20",
        "filter.fromMe": "true",
    }


@pytest.mark.parametrize("bad", [rb'{"id":"a\ud83d"}', b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"])
def test_a_row_the_parser_refuses_does_not_take_its_page_along(bad: bytes) -> None:
    body = b'[{"id":"before"},' + bad + b',{"id":"after"}]'
    with client_of(script(httpx.Response(200, content=body))) as client:
        assert client.messages("all", limit=5) == [b'{"id":"before"}', bad, b'{"id":"after"}']


@pytest.mark.parametrize(("limit", "offset"), [(0, 0), (-1, 0), (5, -1)])
def test_limits_that_waha_answers_with_silence_or_everything_are_never_sent(
    limit: int, offset: int
) -> None:
    with (
        client_of(script(httpx.Response(200, json=[]))) as client,
        pytest.raises(ValueError, match="limit"),
    ):
        client.messages("all", limit=limit, offset=offset)


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        (httpx.Response(401, json={"message": "Unauthorized"}), WahaConfigurationError, "API key"),
        (httpx.Response(403), WahaConfigurationError, "read"),
        (httpx.Response(400, json={"message": ["limit"]}), WahaConfigurationError, "parameter"),
        (
            httpx.Response(
                400, json={"message": 'Enable NOWEB store "config.noweb.store.enabled"'}
            ),
            WahaConfigurationError,
            "before pairing",
        ),
        (httpx.Response(501), WahaConfigurationError, "engine"),
        (
            httpx.Response(422, json={"error": 'Session "default" does not exist'}),
            WahaConfigurationError,
            "does not exist",
        ),
        (
            httpx.Response(404, json={"message": "Session not found"}),
            WahaConfigurationError,
            "name",
        ),
        (httpx.Response(422, json={"message": "Plus only"}), WahaConfigurationError, "edition"),
        (
            httpx.Response(422, json={"status": "STARTING", "expected": ["WORKING"]}),
            WahaNotReadyError,
            "STARTING",
        ),
        (httpx.Response(302, headers={"Location": "/login"}), WahaConfigurationError, "redirects"),
        (httpx.Response(404, json={}), WahaProtocolError, "base URL"),
        (httpx.Response(418), WahaProtocolError, "base URL"),
        (httpx.Response(200, text="<!doctype html><p>login"), WahaGarbledError, "web page"),
        (httpx.Response(200, text=""), WahaGarbledError, "empty"),
        (httpx.Response(200, text="{}"), WahaGarbledError, "no JSON"),
        (httpx.Response(200, content=b"[1,2"), WahaGarbledError, "no JSON"),
        (
            httpx.Response(200, content=b"[" + b"1," * 5000 + b"1]"),
            WahaProtocolError,
            "larger than",
        ),
        (httpx.Response(503), WahaTransientError, "HTTP 503"),
        (httpx.ReadTimeout("5511988887777"), WahaTransientError, "ReadTimeout"),
        (httpx.ConnectError("5511988887777"), WahaTransientError, "WAHA runs"),
    ],
)
def test_every_failure_says_what_to_do_and_tells_nothing_private(
    answer: Answer, error: type[WahaError], sentence: str
) -> None:
    with client_of(script(answer), body_limit=4096) as client, pytest.raises(WahaError) as failure:
        client.messages(CHAT, limit=5)
    assert type(failure.value) is error
    message = str(failure.value)
    assert sentence in message
    assert "'default'" in message
    assert "/api/{session}/chats/{chatId}/messages" in message
    assert "5511988887777" not in message
    assert KEY not in message
    assert KEY not in repr(client.server)


def test_the_body_of_a_500_is_never_repeated() -> None:
    leak = {"exception": {"message": "SELECT data FROM messages", "stack": "/usr/src"}, "x": KEY}
    with (
        client_of(script(httpx.Response(500, json=leak))) as client,
        pytest.raises(WahaTransientError) as f,
    ):
        client.messages("all", limit=1)
    assert "SELECT" not in str(f.value)
    assert "/usr/src" not in str(f.value)


@pytest.mark.parametrize(
    "failure",
    [
        httpx.Response(429, headers={"Retry-After": "7"}),
        httpx.Response(500, json={}),
        httpx.RemoteProtocolError("Server disconnected"),
        httpx.ReadError("reset"),
        httpx.PoolTimeout("busy"),
    ],
)
def test_a_passing_failure_is_tried_again_and_counted(failure: Answer) -> None:
    good = httpx.Response(200, content=b'[{"id":"a"}]')
    with client_of(script(failure, failure, good)) as client:
        assert client.messages("all", limit=5) == [b'{"id":"a"}']
        stats = client.stats
    assert (stats.requests, stats.retries) == (3, 2)
    assert stats.bytes >= len(good.content)


@pytest.mark.parametrize("page", ["<html>back in a minute", "", '[{"id":"a"},'])
def test_a_page_that_is_no_answer_is_tried_again(page: str) -> None:
    good = httpx.Response(200, content=b'[{"id":"a"}]')
    with client_of(script(httpx.Response(200, text=page), good)) as client:
        assert client.messages("all", limit=5) == [b'{"id":"a"}']


def test_a_session_that_blinks_while_it_is_read_gets_a_moment_and_not_more() -> None:
    good = httpx.Response(200, content=b'[{"id":"a"}]')
    blink = httpx.Response(422, json={"status": "STARTING", "expected": ["WORKING"]})
    with client_of(script(good, blink, blink, blink, good, blink)) as client:
        for _ in range(2):
            assert client.messages("all", limit=5) == [b'{"id":"a"}']
        with pytest.raises(WahaNotReadyError):
            client.messages("all", limit=5)
        assert client.stats.requests == 1 + 4 + 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 501])
def test_a_lasting_failure_is_asked_once(status: int) -> None:
    with client_of(script(httpx.Response(status, json={}))) as client:
        with pytest.raises(WahaError):
            client.messages("all", limit=5)
        assert client.stats.requests == 1


def test_tries_are_bounded() -> None:
    with client_of(script(httpx.Response(503)), attempts=3) as client:
        with pytest.raises(WahaTransientError):
            client.chats()
        assert client.stats.requests == 3


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("0", 0.0),
        ("86400", 60.0),
        ("Mon, 01 Jun 2026 12:00:30 GMT", 30.0),
        ("Mon, 01 Jun 2026 11:00:00 GMT", 0.0),
        ("Tue, 02 Jun 2026 12:00:00 GMT", 60.0),
        ("soon", None),
        ("-5", None),
    ],
)
def test_retry_after_is_read_in_both_forms_and_clamped(
    header: str | None, seconds: float | None
) -> None:
    assert _retry_after(header, lambda: datetime(2026, 6, 1, 12, tzinfo=UTC)) == seconds


def test_listings_are_paged_until_a_page_brings_nothing_new() -> None:
    lids = [{"lid": f"{n}@lid", "pn": f"55{n}@c.us"} for n in range(1203)]

    def answer(request: httpx.Request) -> httpx.Response:
        offset, limit = int(request.url.params["offset"]), int(request.url.params["limit"])
        return httpx.Response(200, json=lids[offset : offset + limit])

    with client_of(answer) as client:
        assert client.lids() == lids


def test_a_server_that_ignores_paging_does_not_loop() -> None:
    items = [
        {"id": {"_serialized": "1@c.us"}},
        {"id": {"$1": "2@c.us"}},
        {"name": "no id"},
        "noise",
    ]
    with client_of(script(httpx.Response(200, json=items))) as client:
        assert client.contacts() == items[:3]
        assert client.stats.requests == 2


def test_groups_are_a_list_on_every_engine() -> None:
    group = {"id": "1203@g.us", "subject": "x"}
    with client_of(script(httpx.Response(200, json={"1203@g.us": group}))) as noweb:
        assert noweb.groups() == [group]
    with client_of(script(httpx.Response(200, json=[group]))) as gows:
        assert gows.groups() == [group]


def test_chats_and_contacts_ask_for_a_stable_order() -> None:
    asked: list[tuple[str, dict[str, str]]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.path, dict(request.url.params)))
        return httpx.Response(200, json=[])

    with client_of(answer) as client:
        client.chats()
        client.contacts()
    (chats, chat_params), (contacts, contact_params) = asked
    assert (chats, contacts) == ("/api/default/chats", "/api/contacts/all")
    assert chat_params["merge"] == "false"
    assert contact_params["session"] == "default"
    for params in (chat_params, contact_params):
        assert (params["sortBy"], params["sortOrder"]) == ("id", "asc")
        assert int(params["limit"]) > 0


@pytest.mark.parametrize("url", ["", "waha:3000", "ftp://waha", "http://", "http://waha/?x=1"])
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(WahaConfigurationError, match="base URL"):
        WahaClient(WahaServer(url, "default"))


def test_a_session_name_cannot_leave_its_path() -> None:
    with pytest.raises(WahaConfigurationError, match="session name"):
        WahaClient(WahaServer("http://waha", "../x"))


def test_one_client_serves_several_threads() -> None:
    with client_of(script(httpx.Response(200, json=[]))) as client:
        threads = [
            threading.Thread(target=client.messages, args=("all",), kwargs={"limit": 1})
            for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.stats.requests == 16


@pytest.mark.parametrize("name", sorted(p.name for p in (SHARED / "payloads").glob("error_*.json")))
def test_the_recorded_error_bodies_are_understood(name: str) -> None:
    status = int(name.split("_")[1].removesuffix(".json"))
    body = json.loads((SHARED / "payloads" / name).read_text())
    expected = WahaNotReadyError if "not_working" in name else WahaConfigurationError
    with client_of(script(httpx.Response(status, json=body))) as client, pytest.raises(expected):
        client.messages("all", limit=1)
