"""Paging, order and filters of message listings, asked over real sockets."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ventros_pipeline.replay.generate import generate
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.replay.conftest import ACCOUNT_A, client

Message = dict[str, Any]


@pytest.fixture(scope="module")
def nasty_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nasty")
    generate(folder, messages=3000, chats=24, seed=11, nasty=True, dropped_share=0.02, unlisted=1)
    return folder


@pytest.fixture
def odd(nasty_folder: Path) -> Iterator[httpx.Client]:
    with ReplayServer(nasty_folder) as server, client(server) as session:
        yield session


def lines(folder: Path) -> list[dict[str, Any]]:
    text = gzip.decompress((folder / "messages.ndjson.gz").read_bytes())
    return [json.loads(line) for line in text.split(b"\n") if line]


def by_chat(folder: Path) -> dict[str, list[Message]]:
    chats: dict[str, list[Message]] = {}
    for line in lines(folder):
        chats.setdefault(line["chatId"], []).append(line["message"])
    return chats


def ask(waha: httpx.Client, chat: str, **query: Any) -> list[Message]:
    names = {"gte": "filter.timestamp.gte", "lte": "filter.timestamp.lte"}
    asked = {"downloadMedia": "false", "merge": "false"}
    asked |= {names.get(name, name): str(value) for name, value in query.items()}
    response = waha.get(f"/api/default/chats/{chat}/messages", params=asked)
    assert response.status_code == 200, response.text
    return response.json()


def walk(waha: httpx.Client, chat: str, limit: int, stored: int, **query: Any) -> list[Message]:
    pages = [
        ask(waha, chat, limit=limit, offset=offset, **query) for offset in range(0, stored, limit)
    ]
    return [message for page in pages for message in page]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 7, 50, 100, 500])
def test_pages_of_a_chat_at_rest_add_up_to_one_big_answer(
    waha: httpx.Client, limit: int, order: str
) -> None:
    chat = "120363339628048194@g.us"
    whole = ask(waha, chat, limit=100_000, sortOrder=order)
    assert len(whole) == 248
    assert walk(waha, chat, limit, 260, sortOrder=order) == whole


def test_every_chat_of_the_dump_is_served_in_file_order(waha: httpx.Client) -> None:
    for chat, messages in by_chat(ACCOUNT_A).items():
        assert ask(waha, chat, limit=-1, sortOrder="asc") == messages


def test_messages_are_served_byte_for_byte(waha: httpx.Client) -> None:
    chat = "120363339628048194@g.us"
    raw = gzip.decompress((ACCOUNT_A / "messages.ndjson.gz").read_bytes()).split(b"\n")
    head = b'{"chatId":"%s","message":' % chat.encode()
    texts = [line[len(head) : -1] for line in raw if line.startswith(head)]
    query = {"limit": "-1", "merge": "false", "sortOrder": "asc", "downloadMedia": "false"}
    response = waha.get(f"/api/default/chats/{chat}/messages", params=query)
    assert response.content == b"[" + b",".join(texts) + b"]"


def test_a_page_may_be_shorter_than_the_limit_and_not_be_the_last(waha: httpx.Client) -> None:
    sizes = [
        len(ask(waha, "120363339628048194@g.us", limit=10, offset=offset))
        for offset in range(0, 260, 10)
    ]
    last = max(place for place, size in enumerate(sizes) if size)
    assert any(size < 10 for size in sizes[:last])


def test_a_page_may_be_empty_and_not_be_the_last(waha: httpx.Client) -> None:
    sizes = [
        len(ask(waha, "120363339628048194@g.us", limit=1, offset=offset, sortOrder="asc"))
        for offset in range(45)
    ]
    assert sizes[41] == 0
    assert sizes[42] == 1


def test_descending_keeps_the_insertion_order_inside_a_second(waha: httpx.Client) -> None:
    for chat, messages in by_chat(ACCOUNT_A).items():
        wanted = sorted(
            messages, key=lambda message: str(message["timestamp"]), reverse=True
        )  # stable
        assert ask(waha, chat, limit=-1, sortOrder="desc") == wanted


def test_the_order_is_by_the_json_text_of_the_time(odd: httpx.Client, nasty_folder: Path) -> None:
    served = ask(odd, "all", limit=-1, sortOrder="asc")
    texts = [
        json.dumps(message.get("_data", message).get("messageTimestamp", message["timestamp"]))
        for message in served
    ]
    assert texts == sorted(texts)
    assert texts[0].startswith('"')
    assert texts[-1] == "null"


def test_all_shows_every_stored_message_once(odd: httpx.Client, nasty_folder: Path) -> None:
    served = ask(odd, "all", limit=-1, sortOrder="asc")
    assert len(served) == 3000
    assert len({message["id"] for message in served}) == 3000
    listed = {message["id"] for messages in by_chat(nasty_folder).values() for message in messages}
    assert len(listed) < 3000  # the rest stands in a chat that no list shows


@pytest.mark.parametrize("limit", [7, 100])
def test_pages_over_all_chats_add_up(odd: httpx.Client, limit: int) -> None:
    whole = ask(odd, "all", limit=-1, sortOrder="asc")
    dropped = json.loads((odd.get("/api/default/lids/count")).content)
    assert dropped["count"] > 0
    assert walk(odd, "all", limit, 3200, sortOrder="asc") == whole


def test_time_windows_are_inclusive_and_numeric(odd: httpx.Client) -> None:
    whole = ask(odd, "all", limit=-1, sortOrder="asc")
    known = [message for message in whole if type(message["timestamp"]) is int]
    low, high = known[500]["timestamp"], known[900]["timestamp"]
    inside = [message for message in known if low <= message["timestamp"] <= high]
    assert inside[0]["timestamp"] == low
    found = ask(odd, "all", limit=-1, sortOrder="asc", gte=low, lte=high)
    assert [m for m in found if type(m["timestamp"]) is int] == inside


def test_a_null_time_never_matches_a_filter(odd: httpx.Client) -> None:
    whole = ask(odd, "all", limit=-1, sortOrder="asc")
    nulls = {message["id"] for message in whole if message["timestamp"] is None}
    assert nulls
    for window in ({"gte": -(10**15)}, {"lte": 10**15}, {"gte": 0, "lte": 0}):
        found = ask(odd, "all", limit=-1, **window)
        assert not nulls & {message["id"] for message in found}


def test_offset_and_limit_apply_inside_a_window(odd: httpx.Client) -> None:
    window = {"gte": 1_780_000_000, "lte": 1_785_000_000, "sortOrder": "asc"}
    whole = ask(odd, "all", limit=-1, **window)
    assert walk(odd, "all", 50, len(whole) + 200, **window) == whole


def test_a_burst_of_one_second_is_larger_than_a_page(tmp_path: Path) -> None:
    generate(tmp_path, messages=600, chats=4, seed=2, bursts=1, burst_size=130)
    with ReplayServer(tmp_path) as server, client(server) as session:
        whole = ask(session, "all", limit=-1, sortOrder="asc")
        times = [message["timestamp"] for message in whole]
        second = max(set(times), key=times.count)
        assert times.count(second) >= 130
        window = {"gte": second, "lte": second, "sortOrder": "asc"}
        assert len(walk(session, "all", 100, 200, **window)) == times.count(second)


def test_merge_joins_the_two_addresses_of_a_contact(waha: httpx.Client) -> None:
    halves = by_chat(ACCOUNT_A)
    number, lid = "5511984082810@s.whatsapp.net", "254499100650267@lid"
    together = ask(waha, number, limit=-1, merge="true", sortOrder="asc")
    assert len(together) == len(halves[number]) + len(halves[lid])
    assert together == ask(waha, lid, limit=-1, merge="true", sortOrder="asc")
    assert {message["from"] for message in together} == {"5511984082810@c.us", lid}


@pytest.mark.parametrize(
    "form", ["5511938920271@c.us", "5511938920271@s.whatsapp.net", "5511938920271"]
)
def test_a_phone_chat_is_found_by_any_of_its_forms(waha: httpx.Client, form: str) -> None:
    assert len(ask(waha, form, limit=-1)) == 187


@pytest.mark.parametrize(
    "form", ["+5511938920271@c.us", "5511938920271:12@c.us", "5511000000000@c.us", "abc", "7@bot"]
)
def test_an_unknown_chat_is_an_empty_list_and_not_an_error(waha: httpx.Client, form: str) -> None:
    assert ask(waha, form) == []


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("limit=abc", "limit must be a number conforming to the specified constraints"),
        ("limit=1&limit=2", "limit must be a number conforming to the specified constraints"),
        ("limit=Infinity", "limit must be a number conforming to the specified constraints"),
        ("limit=1_0", "limit must be a number conforming to the specified constraints"),
        ("offset=x", "offset must be a number conforming to the specified constraints"),
        ("merge=yes", "merge must be a boolean value"),
        ("filter.fromMe=no", "filter.fromMe must be a boolean value"),
        ("sortBy=id", "sortBy must be one of the following values: timestamp, messageTimestamp"),
    ],
)
def test_a_bad_parameter_is_named_in_a_list(waha: httpx.Client, query: str, complaint: str) -> None:
    response = waha.get(f"/api/default/chats/abc/messages?{query}")
    assert response.status_code == 400
    assert response.json() == {"message": [complaint], "error": "Bad Request", "statusCode": 400}


@pytest.mark.parametrize(
    ("query", "rows"),
    [("", 10), ("limit=0", 0), ("limit=", 0), ("limit=1.5", 1), ("limit=-1", 187)],
)
def test_the_limit_defaults_to_ten_and_zero_is_nothing(
    waha: httpx.Client, query: str, rows: int
) -> None:
    response = waha.get(f"/api/default/chats/5511938920271@c.us/messages?{query}")
    assert len(response.json()) == rows


@pytest.mark.parametrize("query", ["limit=1e20", "sortOrder=foo", "offset=-1"])
def test_what_sql_refuses_is_a_500_that_echoes_the_request(waha: httpx.Client, query: str) -> None:
    response = waha.get(f"/api/default/chats/5511938920271@c.us/messages?{query}")
    assert response.status_code == 500
    body = response.json()
    assert list(body) == ["statusCode", "timestamp", "exception", "request", "version"]
    assert body["request"]["path"].endswith(query)


def test_ack_filters_go_by_the_stored_status(waha: httpx.Client) -> None:
    shown_as_error = [
        message for message in ask(waha, "all", limit=-1) if message["ackName"] == "ERROR"
    ]
    found = ask(waha, "all", limit=-1, **{"filter.ack": "ERROR"})
    assert {message["fromMe"] for message in found} == {True}
    assert 0 < len(found) < len(shown_as_error)
