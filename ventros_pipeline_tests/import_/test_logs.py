"""What is logged of a whole import, and above all what is not."""

from __future__ import annotations

import gzip
import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from ventros_pipeline import logs
from ventros_pipeline.crm.measuring import measure
from ventros_pipeline.demo import BUNDLED_ACCOUNT
from ventros_pipeline.metrics import OUTCOMES
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline_tests.import_.world import KEY, NOW, World, at, message, write_account

LID, ANA = "210000000000001@lid", "5511980000001@s.whatsapp.net"
TEXT = "o segredo da Ana"

# Where WhatsApp has what people have written, and what they are called.
WRITTEN = ("body", "conversation", "text", "caption", "pushName", "name", "subject", "notify")


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text of a JSON value with the name of its member."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, key)
    elif isinstance(value, str) and value:
        yield key, value


def needles() -> tuple[set[str], set[str]]:
    """Return what must be nowhere in a line, and what is too short for that and is no value."""
    lines = gzip.decompress((BUNDLED_ACCOUNT / "messages.ndjson.gz").read_bytes()).splitlines()
    files = [p for p in BUNDLED_ACCOUNT.glob("*.json") if p.name != "expected.json"]
    anywhere, whole = {KEY}, set[str]()
    for text in [*lines, *(file.read_bytes() for file in files)]:
        for key, said in leaves(json.loads(text)):
            anywhere.update(re.findall(r"\d{8,}", said))
            # Media keys, secrets and message ids; the session's own name is in the channel's key.
            if len(said) >= 20 or (key in WRITTEN and len(said) >= 6):
                anywhere.add(said)
            elif key in WRITTEN:
                whole.add(said)
    return anywhere - {"default"}, whole


def test_no_text_number_name_or_key_of_an_account_is_in_the_log_of_its_import(
    imported_a: World, log_of_a: io.StringIO
) -> None:
    anywhere, whole = needles()
    assert len(anywhere) > 5000
    assert len(whole) > 10
    log = log_of_a.getvalue()
    assert [needle for needle in anywhere if needle in log] == []
    for line in log.splitlines():
        assert whole.isdisjoint(v for v in json.loads(line).values() if isinstance(v, str))


def test_the_log_tells_the_run_and_its_windows(imported_a: World, log_of_a: io.StringIO) -> None:
    lines = [json.loads(line) for line in log_of_a.getvalue().splitlines()]
    ours = {"channel": imported_a.channel.key, "run": imported_a.run_ids[0]}
    assert all(line.items() >= ours.items() for line in lines)
    by_event: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        by_event.setdefault(line["event"], []).append(line)
    assert set(by_event) >= {"run started", "window loaded", "run ended"}
    [balance] = imported_a.rows("SELECT sum(seen) AS seen FROM history_sync.balance")
    assert sum(line["seen"] for line in by_event["window loaded"]) == balance["seen"]
    [ended] = by_event["run ended"]
    assert ended["status"] == "completed"
    assert ended["days_loaded"] == len(imported_a.days)
    # A line for each window and event, never one for each row.
    assert len(lines) < 100


def test_the_counters_of_a_channel_are_the_sums_of_its_loads(imported_a: World) -> None:
    columns = ", ".join(f"sum({name}) AS {name}" for name in OUTCOMES)
    [sums] = imported_a.rows(f"SELECT {columns} FROM history_sync.balance")
    [runs] = imported_a.rows("SELECT sum(requests) AS requests FROM history_sync.runs")
    found = {(sample.metric, sample.label): sample.value for sample in measure(imported_a.engine)}
    assert {name: found["ventros_messages_total", name] for name in OUTCOMES} == sums
    assert found["ventros_requests_total", None] == runs["requests"] > 0


def test_the_log_tells_quarantine_by_reason_and_merges_by_ids(
    world: World, replay: Callable[[Path], ReplayServer], tmp_path: Path
) -> None:
    rows = [
        (LID, message(LID, "3EB0000A", at("2026-06-02 10:00"), TEXT)),
        (ANA, message(ANA, "3EB0000B", at("2026-06-02 10:01"), TEXT)),
        (ANA, b'{"timestamp":%d,"body":"%s"}' % (at("2026-06-02 10:02"), TEXT.encode())),
    ]
    stream = io.StringIO()
    handler = logs.configure("json", "DEBUG", stream)
    try:
        for number, lids in enumerate(({}, {LID: ANA})):
            replay(write_account(tmp_path / str(number), rows, lids=lids))
            world.import_days(now=NOW + timedelta(days=number))
    finally:
        logging.getLogger().removeHandler(handler)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    [held, *_] = [line for line in lines if line["event"] == "rows in quarantine"]
    assert (held["reason"], held["rows"], held["level"]) == ("no_id", 1, "WARNING")
    [merged] = [line for line in lines if line["event"] == "people merged"]
    [stored] = world.rows("SELECT merge_id, kept, absorbed FROM history_sync.merges")
    assert {n: merged[n] for n in ("merge", "kept", "absorbed")} == {
        "merge": str(stored["merge_id"]),
        "kept": str(stored["kept"]),
        "absorbed": str(stored["absorbed"]),
    }
    assert [word for word in (TEXT, LID[:15], ANA[:13]) if word in stream.getvalue()] == []
