"""What WAHA says of a media file, where its link really points, and who is given the key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from ventros_pipeline.waha.client import WahaClient, WahaServer
from ventros_pipeline.waha.errors import (
    WahaConfigurationError,
    WahaGarbledError,
    WahaTransientError,
)
from ventros_pipeline.waha.media import MEGABYTE, File, Link, NoFile, ask, fetch_file

KEY = "correct-horse-battery-staple"
BASE = "http://waha.example.com:3000"
OWN_FILE = f"{BASE}/api/files/default/3EB0.oga"
CHAT, MESSAGE = "5511980000001@c.us", "false_5511980000001@c.us_3EB0"
VOICE = "audio/ogg; codecs=opus"
GIVEN = {"url": "http://localhost:3000/api/files/default/3EB0.oga", "mimetype": "audio/ogg"}


def client_of(answer: httpx.Response, base_url: str = BASE) -> WahaClient:
    server = WahaServer(base_url, "default", KEY, attempts=1)
    return WahaClient(server, transport=httpx.MockTransport(lambda _: answer))


def asked(media: Any, base_url: str = BASE) -> Link | NoFile:
    with client_of(httpx.Response(200, json={"id": MESSAGE, "media": media}), base_url) as client:
        return ask(client, CHAT, MESSAGE)


class Web:
    """Takes down the requests for files and answers them as told, the last answer for good."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.requests: list[httpx.Request] = []
        self.client = httpx.Client(transport=httpx.MockTransport(self._answer))
        self._answers = list(answers)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def file_of(content: bytes, **headers: str) -> httpx.Response:
    return httpx.Response(200, content=iter([content]), headers=headers)


def fetched(web: Web, media: Any = GIVEN, limit: int = 100) -> File | NoFile:
    with client_of(httpx.Response(200, json={"id": MESSAGE, "media": media})) as client:
        return fetch_file(client, web.client, CHAT, MESSAGE, limit=limit)


def test_one_message_is_asked_for_with_its_file() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"id": MESSAGE})

    server = WahaServer(BASE, "default", KEY)
    with WahaClient(server, transport=httpx.MockTransport(answer)) as client:
        assert client.message(CHAT, MESSAGE, download_media=True) == {"id": MESSAGE}
        client.message(CHAT, "a/b", download_media=False)
    path = b"/api/default/chats/5511980000001%40c.us/messages/"
    [first, second] = [request.url.raw_path.split(b"?")[0] for request in seen]
    assert first == path + b"false_5511980000001%40c.us_3EB0"
    assert second == path + b"a%2Fb"
    assert [request.url.params["downloadMedia"] for request in seen] == ["true", "false"]


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, json={"message": "Message not found", "statusCode": 404}),
        httpx.Response(200),
        httpx.Response(200, json=None),
    ],
)
def test_a_message_that_waha_does_not_know_is_none(answer: httpx.Response) -> None:
    with client_of(answer) as client:
        assert client.message(CHAT, MESSAGE, download_media=True) is None
        assert ask(client, CHAT, MESSAGE) == NoFile("expired", "message_gone")


def test_a_session_that_is_gone_is_no_missing_message() -> None:
    with (
        client_of(httpx.Response(404, json={"message": "Session not found"})) as client,
        pytest.raises(WahaConfigurationError),
    ):
        client.message(CHAT, MESSAGE, download_media=True)


def test_a_web_page_is_no_message() -> None:
    with client_of(httpx.Response(200, text="<html>")) as client, pytest.raises(WahaGarbledError):
        client.message(CHAT, MESSAGE, download_media=True)


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        (None, NoFile("refused", "server_gives_no_media")),
        ({"url": None, "error": {"code": 13}}, NoFile("expired", "gone_from_whatsapp")),
        ({"url": "", "mimetype": "image/jpeg"}, NoFile("expired", "gone_from_whatsapp")),
        (GIVEN, Link(OWN_FILE, True, "audio/ogg")),
        (GIVEN | {"mimetype": VOICE}, Link(OWN_FILE, True, VOICE)),
        (GIVEN | {"mimetype": "<b>"}, Link(OWN_FILE, True, None)),
    ],
)
def test_what_waha_says_of_a_file(media: Any, expected: Link | NoFile) -> None:
    assert asked(media) == expected


@pytest.mark.parametrize(
    ("url", "base_url", "expected"),
    [
        ("http://localhost:3000/api/files/d/a.jpeg", BASE, f"{BASE}/api/files/d/a.jpeg"),
        ("https://old.example.com/api/files/d/a.b?x=1", BASE, f"{BASE}/api/files/d/a.b?x=1"),
        ("http://inside:3000/waha/api/files/d/a.b", BASE, f"{BASE}/api/files/d/a.b"),
        ("http://localhost/api/files/d/a.b", f"{BASE}/waha/", f"{BASE}/waha/api/files/d/a.b"),
        ("https://bucket.example.com/default/a.jpeg?sig=1", BASE, None),
        ("http://localhost:3000/api/files/d/../../sessions", BASE, None),
        ("http://localhost:3000/api/files/../sessions", BASE, None),
        ("http://localhost:3000/api/sessions", BASE, None),
        (f"{BASE}/api/server/version", BASE, None),
        ("http://[", BASE, None),
    ],
)
def test_wahas_own_links_are_based_on_the_configured_server(
    url: str, base_url: str, expected: str | None
) -> None:
    assert asked({"url": url}, base_url) == Link(expected or url, expected is not None, None)


def test_a_file_of_waha_is_fetched_from_the_configured_server_with_the_key() -> None:
    web = Web(file_of(b"bytes"))
    assert fetched(web) == File(b"bytes", "audio/ogg")
    [request] = web.requests
    assert str(request.url) == OWN_FILE
    assert request.headers["X-Api-Key"] == KEY


@pytest.mark.parametrize(
    "url",
    [
        "https://bucket.example.com/default/a.jpeg?sig=1",
        "http://waha.example.com:3001/files/a.jpeg",
        "https://waha.example.com:3000/a.jpeg",
        "http://waha.example.com.evil.example:3000/a.jpeg",
        f"{BASE}/not-a-file",
    ],
)
def test_the_key_is_sent_with_no_other_link(url: str) -> None:
    web = Web(file_of(b"bytes", **{"Content-Type": "image/png"}))
    assert fetched(web, {"url": url}) == File(b"bytes", "image/png")
    [request] = web.requests
    assert "X-Api-Key" not in request.headers
    assert KEY not in str(request.url)


def test_a_redirect_to_another_server_is_followed_without_the_key() -> None:
    elsewhere = {"Location": "https://bucket.example.com/a?sig=1"}
    web = Web(httpx.Response(302, headers=elsewhere), file_of(b"bytes"))
    assert fetched(web) == File(b"bytes", "audio/ogg")
    assert [request.headers.get("X-Api-Key") for request in web.requests] == [KEY, None]


def test_a_file_that_says_it_is_too_large_is_refused() -> None:
    web = Web(file_of(b"", **{"Content-Length": "101"}))
    assert fetched(web) == NoFile("refused", "too_large")
    assert isinstance(fetched(Web(file_of(b"x" * 100))), File)


def test_a_file_that_turns_out_too_large_is_refused_on_the_way() -> None:
    taken = 0

    def parts() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield b"x" * 40

    web = Web(httpx.Response(200, content=parts()))
    assert fetched(web) == NoFile("refused", "too_large")
    assert taken == 3


@pytest.mark.parametrize("status", [404, 410, 429, 500, 503])
def test_a_file_that_is_not_given_may_come_with_another_link(status: int) -> None:
    with pytest.raises(WahaTransientError) as caught:
        fetched(Web(httpx.Response(status)))
    assert caught.value.status == status
    assert "3EB0" not in str(caught.value)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_not_good_for_files_is_a_setting_to_mend(status: int) -> None:
    with pytest.raises(WahaConfigurationError):
        fetched(Web(httpx.Response(status)))


def test_a_file_of_waha_takes_its_turn_at_the_server_and_a_foreign_one_does_not() -> None:
    class Courtesy:
        turns = 0

        @contextmanager
        def turn(self, server: str) -> Iterator[None]:
            self.turns += 1
            yield

    def turns(media: dict[str, str]) -> int:
        courtesy = Courtesy()
        answer = httpx.MockTransport(lambda _: httpx.Response(200, json={"media": media}))
        server = WahaServer(BASE, "default", KEY, attempts=1)
        with WahaClient(server, transport=answer, courtesy=courtesy) as client:
            fetch_file(client, Web(file_of(b"bytes")).client, CHAT, MESSAGE, limit=100)
        return courtesy.turns

    assert turns(GIVEN) == 2
    assert turns({"url": "https://bucket.example.com/default/a.jpeg?sig=1"}) == 1


def test_links_do_not_show_in_representations() -> None:
    assert OWN_FILE not in repr(Link(OWN_FILE, True, None))
    assert "bytes" not in repr(File(b"bytes", None))
    assert MEGABYTE == 1_048_576
