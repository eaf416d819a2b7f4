"""The laws, each a function of bytes that raises `AssertionError` where it does not hold.

What belongs here: what is promised for input that nobody has seen. What does not: how such input is
found (`__main__.py`, `test_fuzz.py`).
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

from ventros_pipeline.crm.limits import DayRange
from ventros_pipeline.partitions import partition_key, spans
from ventros_pipeline.planning import PlanError, parse_wish, plan_runs, trim
from ventros_pipeline.transform import phones
from ventros_pipeline.waha import events
from ventros_pipeline.waha.envelope import envelope_of
from ventros_pipeline.waha.ids import kind_of, normalise, parse_message_id
from ventros_pipeline.waha.jsontext import repair, split_array
from ventros_pipeline.waha.secrets import strip_secrets
from ventros_pipeline.waha.wire import decode_rows

OWN = frozenset({"5511990000000@c.us", "199900000000001@lid"})
TODAY = date(2026, 6, 30)
_SECRETS = {
    *("mediakey", "media_key", "messagesecret", "message_secret", "jpegthumbnail"),
    *("jpeg_thumbnail", "pngthumbnail", "png_thumbnail", "thumbnail"),
}


def row(data: bytes) -> None:
    """Any row is a message or is rejected; it has a name; no secret of it is archived."""
    stripped = strip_secrets(data)
    envelope = envelope_of(stripped)
    assert envelope.row_key
    assert envelope.timestamp is None or math.isfinite(envelope.timestamp)
    decoded = decode_rows([stripped], OWN)
    assert decoded.frame.height + len(decoded.rejected) == 1
    for text in _texts(decoded.frame.to_dicts()):
        assert "\x00" not in text
        text.encode()
    with suppress(ValueError, RecursionError):
        before, after = json.loads(repair(data)), json.loads(repair(stripped))
        assert strip_secrets(stripped) == stripped
        assert not list(_secrets(after))
        # As text: NaN is not NaN, but says the same.
        assert json.dumps(_without_secrets(before)) == json.dumps(_without_secrets(after))


def page(data: bytes) -> None:
    """A page falls into as many rows as a parser finds in it, or is refused."""
    try:
        rows = split_array(data)
    except ValueError:
        rows = None
    try:
        parsed = json.loads(data.decode())  # From bytes it would guess UTF-16, too.
    except (ValueError, RecursionError):
        return
    if isinstance(parsed, list):
        assert rows is not None
        assert [json.loads(text) for text in rows] == parsed
    else:
        assert rows is None


def address(data: bytes) -> None:
    """An address has one form; a message id has parts; a LID is no phone number."""
    text = data.decode(errors="replace")
    form = normalise(text)
    if form is not None:
        assert normalise(form) == form
        kind_of(form)
        phone = phones.phone_of(form)
        assert phone is None or form.endswith("@c.us")
        assert not (phone and phones.is_suspected_lid(form))
    parts = parse_message_id(text)
    assert parts.stanza in text


def phone(data: bytes) -> None:
    """Whoever is a spelling of a number has it for a spelling, and both are one line."""
    digits = "".join(str(byte % 10) for byte in data[:20])
    number = phones.phone_of(f"{digits}@c.us")
    if number is None:
        return
    phones.formatted(number)
    spellings = phones.candidates(number)
    assert spellings[0] == number
    line = phones.line_of(f"{digits}@c.us")
    for other in spellings:
        assert number in phones.candidates(other)
        assert phones.line_of(f"{other[1:]}@c.us") == line
        assert phones.may_be_one_line(f"{digits}@c.us", f"{other[1:]}@c.us")


def webhook(data: bytes) -> None:
    """A body is an event or is refused; a signature fits one body and one key."""
    signature = events.signature_of("a key of sixteen", data)
    assert events.is_signed("a key of sixteen", data, signature)
    assert not events.is_signed("another key of 16", data, signature)
    assert not events.is_signed("a key of sixteen", data + b" ", signature)
    assert not events.is_signed("a key of sixteen", data, data.decode(errors="surrogateescape"))
    events.is_current(data.decode(errors="replace"), datetime(2026, 6, 30, tzinfo=UTC))
    with suppress(events.EventError):
        event = events.read_event(data)
        assert 0 < len(event.id) <= 64
        assert event.message_at is None or event.message_at.tzinfo is UTC


def plan(data: bytes) -> None:
    """A plan is the days that were asked for, each once, the newest first, in small enough runs."""
    with suppress(PlanError):
        parse_wish(data.decode(errors="replace"), TODAY)
    start, since, until, oldest, most = struct.unpack("<5h", data[:10].ljust(10, b"\0"))
    begin = TODAY - timedelta(days=abs(start) % 3000)
    asked = {
        "since": None if since < 0 else TODAY - timedelta(days=since % 4000),
        "until": None if until < 0 else TODAY - timedelta(days=until % 4000),
        "oldest": None if oldest < 0 else TODAY - timedelta(days=oldest % 4000),
    }
    run_days = abs(most) % 40 or None
    try:
        runs = plan_runs(begin, TODAY, run_days=run_days, **asked)
    except PlanError:
        first, last = max(asked["since"] or begin, begin), min(asked["until"] or TODAY, TODAY)
        assert last < first
        return
    days = _in_order(runs, run_days)
    assert set(days) <= {begin + timedelta(days=n) for n in range((TODAY - begin).days + 1)}
    shorter = trim(runs, calendar_start=begin, oldest=asked["oldest"], run_days=run_days)
    assert set(_in_order(shorter, run_days)) <= {
        runs[-1].first + timedelta(days=n) for n in range((runs[0].last - runs[-1].first).days + 1)
    }
    found = spans(partition_key("default-1a2b3c4d", day) for day in days)
    assert sorted(day for span in found for day in span.days) == sorted(days)


LAWS: dict[str, Callable[[bytes], None]] = {
    law.__name__: law for law in (row, page, address, phone, webhook, plan)
}


def _in_order(runs: list[DayRange], run_days: int | None) -> list[date]:
    days = [
        run.last - timedelta(days=n) for run in runs for n in range((run.last - run.first).days + 1)
    ]
    assert days == sorted(set(days), reverse=True)
    assert run_days is None or max(run.days for run in runs) <= run_days
    return days


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from _texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member)


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, member in value.items():
            if name.lower() in _SECRETS and member is not None:
                yield name
            yield from _secrets(member)
    elif isinstance(value, list):
        for member in value:
            yield from _secrets(member)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: None if name.lower() in _SECRETS else _without_secrets(member)
            for name, member in value.items()
        }
    return [_without_secrets(member) for member in value] if isinstance(value, list) else value
