"""The recorded exchanges of a real WAHA, replayed: status, body and ETag must be the recorded ones.

The recordings were taken from the same store as account A, fifteen minutes before its dump, so
that everything a reader asks can be compared exactly. What is not compared has its reason here.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from ventros_pipeline.replay.server import ReplayServer

RECORDED = Path(__file__).parents[2].parent / "shared" / "reference" / "recorded"

SESSION_CONTROL = "changes the session (start, stop, restart, PUT, POST); a reader never does"
MEDIA_BYTES = "serves a media file, which no account folder holds: the replay invents its bytes"

LEFT_OUT: dict[int, str] = {
    91: MEDIA_BYTES,
    137: SESSION_CONTROL,
    138: SESSION_CONTROL,
    139: SESSION_CONTROL,
    144: SESSION_CONTROL,
    145: SESSION_CONTROL,
    151: SESSION_CONTROL,
    152: SESSION_CONTROL,
    153: SESSION_CONTROL,
    154: SESSION_CONTROL,
}

MEDIA_LINK = "the media object a download fills in; the replay invents which files are gone"
CLOCK = "the server's own clock"
STACK = "the stack trace names files of WAHA's installation"
PRESENCE = "presence and last activity of the moment"

VOLATILE: dict[int, dict[str, str]] = {
    4: {"startTimestamp": CLOCK, "uptime": CLOCK},
    16: {"timestamp": CLOCK},
    29: {"timestamp": CLOCK, "exception.stack": STACK},
    31: {"*.media": MEDIA_LINK},
    51: {"timestamp": CLOCK},
    53: {"timestamp": CLOCK, "exception.stack": STACK},
    56: {"timestamp": CLOCK},
    88: {"media": MEDIA_LINK},
    92: {"media": MEDIA_LINK},
    95: {"timestamp": CLOCK, "exception.stack": STACK},
    133: {"*.presence": PRESENCE, "*.timestamps": PRESENCE},
    135: {"presence": PRESENCE, "timestamps": PRESENCE},
}

STATE: dict[int, dict[str, Any]] = {
    **{key: {"status": "SCAN_QR_CODE"} for key in (133, 134)},
    **{key: {"status": "FAILED"} for key in (135, 136)},
    **{key: {"status": "STOPPED"} for key in (140, 141, 142, 143)},
    **{key: {"store_enabled": False} for key in range(146, 151)},
}


@dataclass(frozen=True)
class Exchange:
    number: int
    name: str
    method: str
    target: str
    headers: dict[str, str]
    sent: Any
    status: int
    etag: str | None
    size: int
    body: Any


def read(path: Path) -> Exchange:
    found = json.loads(path.read_text())
    method, target, _ = found["request"]["line"].split(" ")
    return Exchange(
        number=int(path.name[:3]),
        name=path.stem,
        method=method,
        target=target,
        headers=found["request"]["headers"],
        sent=found["request"].get("body"),
        status=found["status"],
        etag=found["headers"].get("ETag"),
        size=found["body_bytes"],
        body=found["body"],
    )


EXCHANGES = [read(path) for path in sorted(RECORDED.glob("[0-9]*.json"))]
WITH_LIVE_MESSAGE = (129, 130, 131, 132)
ELSEWHERE = {*LEFT_OUT, *WITH_LIVE_MESSAGE}
COMPARED = [exchange for exchange in EXCHANGES if exchange.number not in ELSEWHERE]
NEEDS_RECORDINGS = pytest.mark.skipif(not EXCHANGES, reason="the recordings are not at hand")


def ask(server: ReplayServer, exchange: Exchange) -> httpx.Response:
    """Send the recorded request, its path untouched by the client's own escaping."""
    content = None if exchange.sent is None else json.dumps(exchange.sent)
    url = httpx.URL(server.url).copy_with(raw_path=exchange.target.encode())
    with httpx.Client(timeout=30) as session:
        return session.request(exchange.method, url, headers=exchange.headers, content=content)


def without(body: Any, path: str) -> Any:
    """Return the body with one volatile field taken out."""
    name, _, rest = path.partition(".")
    if isinstance(body, list):
        return [without(element, rest) for element in body] if name == "*" else body
    if not isinstance(body, dict) or name not in body:
        return body
    if rest:
        return body | {name: without(body[name], rest)}
    return {key: value for key, value in body.items() if key != name}


def plain(exchange: Exchange, body: Any) -> Any:
    for path in VOLATILE.get(exchange.number, {}):
        body = without(body, path)
    return body


@NEEDS_RECORDINGS
@pytest.mark.parametrize("exchange", COMPARED, ids=lambda exchange: exchange.name)
def test_a_recorded_request_is_answered_as_recorded(
    shared_server_a: ReplayServer, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    for switch, value in STATE.get(exchange.number, {}).items():
        monkeypatch.setattr(shared_server_a.control, switch, value)
    assert_same(exchange, ask(shared_server_a, exchange))


def assert_same(exchange: Exchange, response: httpx.Response) -> None:
    assert response.status_code == exchange.status
    body = response.json() if response.content else None
    assert plain(exchange, body) == plain(exchange, exchange.body)
    if exchange.number not in VOLATILE:  # the ETag is a digest: the bytes are the recorded ones
        assert response.headers.get("etag") == exchange.etag
        assert len(response.content) == exchange.size


@NEEDS_RECORDINGS
def test_the_recorded_drift_by_a_live_message_is_reproduced(own_server_a: ReplayServer) -> None:
    by_number = {exchange.number: exchange for exchange in EXCHANGES}
    live = by_number[132].body[0]
    before, *after = WITH_LIVE_MESSAGE
    assert_same(by_number[before], ask(own_server_a, by_number[before]))
    own_server_a.account.put_message(live["_data"]["key"]["remoteJid"], live)
    for number in after:
        assert_same(by_number[number], ask(own_server_a, by_number[number]))


@NEEDS_RECORDINGS
def test_every_exchange_is_compared_or_left_out_for_a_reason() -> None:
    assert len(EXCHANGES) == 155
    assert all(len(reason) > 20 for reason in LEFT_OUT.values())
    readers = [exchange for exchange in EXCHANGES if exchange.method == "GET"]
    assert not {exchange.number for exchange in readers} & set(LEFT_OUT)
    assert not set(VOLATILE) & set(LEFT_OUT)
    assert all(re.match(r"^\S+$", path) for fields in VOLATILE.values() for path in fields)
