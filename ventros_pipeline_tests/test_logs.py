"""How a line is written, and what of it is hidden."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import date
from typing import Any

import httpx
import pytest

from ventros_pipeline import logs
from ventros_pipeline.waha.client import WahaClient, WahaServer
from ventros_pipeline.waha.courtesy import Breaker, State
from ventros_pipeline.waha.errors import WahaError

TEXT = "o segredo da Ana, 5511980000001"


@pytest.fixture
def buffer() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logs.configure("json", "INFO", stream)
    yield stream
    logging.getLogger().removeHandler(handler)


def lines(buffer: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in buffer.getvalue().splitlines()]


def test_text_from_outside_is_hidden_and_an_exception_is_named_by_class_and_place(
    buffer: io.StringIO,
) -> None:
    log = logs.log_of("test", channel="default-1a2b3c4d", run=None)
    log.info("window loaded", day=date(2026, 6, 1), rows=3, ms=1.23456, said=TEXT, other="a\nb")
    try:
        int(TEXT)
    except ValueError:
        logging.getLogger("ventros_pipeline.test").exception("it broke")
    told, broke = lines(buffer)
    assert told.pop("at").endswith("+00:00")
    assert told == {
        "level": "INFO",
        "logger": "ventros_pipeline.test",
        "event": "window loaded",
        "channel": "default-1a2b3c4d",
        "day": "2026-06-01",
        "rows": 3,
        "ms": 1.235,
        "said": "(hidden)",
        "other": "(hidden)",
    }
    assert broke["error"] == "ValueError"
    assert broke["where"].startswith("test_logs.py:")
    assert "segredo" not in buffer.getvalue()


def test_a_person_reads_one_line_and_nothing_below_the_level() -> None:
    stream = io.StringIO()
    handler = logs.configure("human", "WARNING", stream)
    logs.log_of("test").info("retry", attempt=2)
    logs.log_of("test").warning("breaker opened", rest=30.0)
    logging.getLogger().removeHandler(handler)
    [line] = stream.getvalue().splitlines()
    assert line.endswith(" WARNING breaker opened rest=30.0")


def test_a_client_tells_each_retry_and_when_its_breaker_opens_and_closes(
    buffer: io.StringIO,
) -> None:
    clock = [0.0]
    answers = [500, 500, 200]
    told: list[State] = []

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(answers.pop(0), json={"version": TEXT})

    client = WahaClient(
        WahaServer(base_url="http://waha.test", session="default", api_key="k", attempts=2),
        transport=httpx.MockTransport(answer),
        breaker=Breaker(minimum=2, rest=30.0, clock=lambda: clock[0]),
        on_breaker=lambda breaker, state: told.append(state),
        log=logs.log_of("waha", channel="default-1a2b3c4d"),
    )
    with client:
        with pytest.raises(WahaError):
            client.session_info()
        clock[0] = 31.0
        client.session_info()
    retry, opened, closed = lines(buffer)
    assert (retry["event"], retry["attempt"], retry["attempts"]) == ("retry", 2, 2)
    assert (retry["status"], retry["endpoint"]) == (500, "/api/sessions/{session}")
    assert retry["waited"] >= 0
    assert (opened["event"], opened["rest"]) == ("breaker opened", 30.0)
    assert closed["event"] == "breaker closed"
    assert {line["channel"] for line in (retry, opened, closed)} == {"default-1a2b3c4d"}
    assert told == [State.OPEN, State.CLOSED]
    assert TEXT not in buffer.getvalue()
