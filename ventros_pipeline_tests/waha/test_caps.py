"""Answers that are bombs: refused with a sentence, before they take what a process has."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Iterator

import httpx
import pytest

from ventros_pipeline.waha import client as clients
from ventros_pipeline.waha import windows
from ventros_pipeline.waha.client import WahaClient, WahaServer
from ventros_pipeline.waha.errors import WahaError, WahaGarbledError, WahaProtocolError
from ventros_pipeline.waha.jsontext import has_more
from ventros_pipeline.waha.wire import LARGEST_ROW, decode_rows

MEGABYTE = 1024 * 1024
TYPE = {"Content-Type": "application/json"}


class Pieces(httpx.SyncByteStream):
    """A body that comes as a network hands it over, not yet unpacked."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._body), 65_536):
            yield self._body[start : start + 65_536]


def client_of(body: bytes, encoding: str | None = None, **settings: int) -> WahaClient:
    headers = TYPE | ({"Content-Encoding": encoding} if encoding else {})
    server = WahaServer("http://waha.test", "default", "a-key", attempts=1, **settings)  # type: ignore[arg-type]

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Pieces(body), headers=headers)

    return WahaClient(server, transport=httpx.MockTransport(answer))


def refused(client: WahaClient, error: type[WahaError] = WahaProtocolError) -> str:
    """Read a page, expect that it is refused within a few MB, and return what is said."""
    tracemalloc.start()
    try:
        with client, pytest.raises(error) as caught:
            client.messages("all", limit=10)
        assert tracemalloc.get_traced_memory()[1] < 40 * MEGABYTE
    finally:
        tracemalloc.stop()
    assert "'default'" in str(caught.value)
    assert "/messages" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_page_that_a_proxy_has_packed_is_read(pack: object) -> None:
    body = pack(b'[{"id":"a"},{"id":"b"}]')  # type: ignore[operator]
    encoding = "gzip" if pack is gzip.compress else "deflate"
    with client_of(body, encoding) as client:
        assert client.messages("all", limit=10) == [b'{"id":"a"}', b'{"id":"b"}']


def test_a_megabyte_that_unpacks_to_a_gigabyte_is_refused_at_the_limit() -> None:
    packed = zlib.compressobj(wbits=31)
    bomb = b"".join(packed.compress(b"0" * MEGABYTE) for _ in range(200)) + packed.flush()
    assert len(bomb) < MEGABYTE
    said = refused(client_of(bomb, "gzip", body_limit=8 * MEGABYTE))
    assert "VENTROS_BODY_LIMIT_MB" in said


@pytest.mark.parametrize(
    "encoding", ["gzip, gzip", "gzip, gzip, gzip, gzip", "br", "zstd", "compress", "identity, br"]
)
def test_a_page_that_is_packed_twice_or_oddly_is_not_unpacked(encoding: str) -> None:
    bomb = gzip.compress(gzip.compress(b"0" * 30 * MEGABYTE))
    assert "packed" in refused(client_of(bomb, encoding), WahaGarbledError)


@pytest.mark.parametrize("body", [b"", b"no gzip", gzip.compress(b"[]", mtime=0)[:12]])
def test_a_page_that_is_not_packed_as_it_says_is_no_answer(body: bytes) -> None:
    refused(client_of(body, "gzip"), WahaGarbledError)


def test_a_page_of_millions_of_rows_is_refused_before_they_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clients, "_MOST_VALUES", 400_000)
    monkeypatch.setattr(clients, "_MOST_ROWS", 20_000)
    swarm = b"[" + b"0," * 2_000_000 + b"0]"
    assert "20,000 rows" in refused(client_of(swarm))
    # As many commas within one row are no rows.
    with client_of(b"[" + swarm + b"]") as client:
        assert client.messages("all", limit=10) == [swarm]


@pytest.mark.parametrize("text", [b"0,", b"[],", b'{"":{}},'])
def test_a_listing_of_millions_of_values_is_refused_before_they_are_made(text: bytes) -> None:
    swarm = b"[" + text * 4_000_001 + b"0]"
    with client_of(swarm) as client, pytest.raises(WahaProtocolError, match="values"):
        client.chats()


@pytest.mark.parametrize(
    ("text", "count"),
    [(b"[]", 0), (b"[1]", 1), (b'["a,b",[1,2,3],{"c":[4,5]}]', 3), (b"[[[1,2],3],4]", 2)],
)
def test_rows_are_counted_without_what_is_in_them(text: bytes, count: int) -> None:
    assert [has_more(text, most) for most in range(1, 6)] == [count > most for most in range(1, 6)]


def test_a_row_larger_than_any_message_is_kept_and_not_decoded() -> None:
    row = b'{"id":"false_5511980000001@c.us_3EB0","timestamp":1,"body":"%s"}'
    fits = row % (b"a" * (LARGEST_ROW - len(row) + 2))
    decoded = decode_rows([fits, fits + b" "], frozenset())
    assert decoded.frame.height == 1
    assert [(bad.index, bad.reason) for bad in decoded.rejected] == [(1, "too_large")]


def test_a_server_that_ignores_offsets_does_not_hold_a_reader_for_ever() -> None:
    asked: list[int] = []

    def ask(*, limit: int, offset: int) -> list[bytes]:
        asked.append(offset)
        return [b"{}"]

    with pytest.raises(WahaProtocolError, match="offset"):
        windows._sweep(ask, 32_768)
    assert len(asked) < 200


def test_a_list_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_MOST_LISTED", 2_000)

    def answer(request: httpx.Request) -> httpx.Response:
        first = int(request.url.params["offset"])
        return httpx.Response(200, json=[{"id": f"{first + n}@c.us"} for n in range(500)])

    server = WahaServer("http://waha.test", "default", attempts=1)
    with (
        WahaClient(server, transport=httpx.MockTransport(answer)) as client,
        pytest.raises(WahaGarbledError, match="2,000 entries"),
    ):
        client.contacts()


def test_no_request_is_made_any_more_when_the_process_may_not_go_on() -> None:
    class EnoughError(Exception):
        pass

    def enough() -> None:
        raise EnoughError

    server = WahaServer("http://waha.test", "default")
    refusing = httpx.MockTransport(lambda _: pytest.fail("it asked"))
    with (
        WahaClient(server, transport=refusing, watch=enough) as client,
        pytest.raises(EnoughError),
    ):
        client.messages("all", limit=1)


@pytest.mark.parametrize("version", ["<b>1</b>", "1\n2026 ERROR", "1" * 41, "a key", 7, None])
def test_a_version_that_is_none_is_not_shown(version: object) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "version" in request.url.path:
            return httpx.Response(200, json={"version": version, "engine": "GOWS", "tier": version})
        return httpx.Response(200, json={"status": "WORKING"})

    server = WahaServer("http://waha.test", "default")
    with WahaClient(server, transport=httpx.MockTransport(answer)) as client:
        probe = client.probe()
    assert (probe.version, probe.tier, probe.engine) == (None, None, "GOWS")
