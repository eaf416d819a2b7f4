"""Whether a channel has changed: one cheap request for each, and what a fleet wants read.

What belongs here: what is asked, what of the answer counts, and sharing out the time of one look
around. What does not: reading what has changed (`syncing.py`) and starting runs
(`sensors/incremental.py`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy.engine import Engine

from ventros_pipeline.crm import coverage, sync
from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.crm.sync import Candidate
from ventros_pipeline.importer import Importer
from ventros_pipeline.transform.times import second_of
from ventros_pipeline.waha.client import ALL_CHATS, WahaClient
from ventros_pipeline.waha.pages import timestamp_of

# Browsers answer for one chat at a time, so their list of chats is what shows a change.
BROWSERS = ("WEBJS", "WPP")
NEWEST_MESSAGES = 20
NEWEST_CHATS = 50
MOST_THREADS = 8
# A session that is not ready holds a request for 5 to 15 s.
PATIENCE = 20.0

ImporterOf = Callable[[Channel], Importer]


@dataclass
class Look:
    """What a look around a fleet brought.

    Attributes:
        wanted: keys of the channels that a pass should read, by WAHA server.
        asked: channels that were probed.
        failures: why a probe failed, by channel key.
        offset: where the next look should begin, so that each channel gets its turn.
    """

    wanted: dict[str, list[str]] = field(default_factory=dict)
    asked: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    offset: int = 0


@dataclass
class Probed:
    """What probes brought: who was asked, who has changed, and who failed."""

    asked: list[Candidate] = field(default_factory=list)
    changed: list[Candidate] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def look_around(
    engine: Engine,
    importer_of: ImporterOf,
    *,
    now: datetime,
    start: date,
    overlap: timedelta,
    offset: int,
    busy: Collection[str],
    until: float,
    asks: bool = True,
) -> Look:
    """Find the channels that a pass should read; probe those of which nothing else tells.

    Args:
        importer_of: makes the importer whose client a channel is asked with.
        now: UTC.
        start: first day of the calendar.
        overlap: how far the reading of what is new reaches back.
        offset: where the last look said that this one should begin.
        busy: servers whose pass is still running or queued; their channels are left alone.
        until: monotonic second at which to stop asking.
        asks: whether WAHA is asked at all, or only what is known already counts.
    """
    found = [
        candidate
        for candidate in sync.candidates(engine, now)
        if not candidate.backs_off and candidate.channel.waha_server not in busy
    ]
    due = coverage.due_days(engine, now, start=start, overlap=overlap)
    known: list[Candidate] = []
    unknown: list[Candidate] = []
    for one in found:
        tells = one.has_changed or one.has_hints or one.channel.id in due
        (known if tells else unknown).append(one)
    first = offset % len(unknown) if unknown else 0
    turn = unknown[first:] + unknown[:first] if asks else []
    probed = probe_channels(engine, importer_of, turn, now=now, until=until)
    look = Look(asked=len(probed.asked), failures=probed.failures)
    asked = {one.channel.id for one in probed.asked}
    passed = next((n for n, one in enumerate(turn) if one.channel.id not in asked), 0)
    look.offset = first + passed if asks else offset
    for one in sorted([*known, *probed.changed], key=lambda one: one.channel.key):
        look.wanted.setdefault(one.channel.waha_server, []).append(one.channel.key)
    return look


def probe_channels(
    engine: Engine,
    importer_of: ImporterOf,
    candidates: Iterable[Candidate],
    *,
    now: datetime,
    until: float,
) -> Probed:
    """Ask each channel what its newest messages look like; servers are asked side by side.

    A channel that fails is left alone for a while, and keeps no other from being asked.
    """
    by_server: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_server.setdefault(candidate.channel.waha_server, []).append(candidate)
    if not by_server:
        return Probed()
    total = Probed()

    def ask(found: Sequence[Candidate]) -> Probed:
        return _probe_server(engine, importer_of, found, now, until)

    with ThreadPoolExecutor(min(len(by_server), MOST_THREADS)) as threads:
        for part in threads.map(ask, by_server.values()):
            total.asked += part.asked
            total.changed += part.changed
            total.failures |= part.failures
    return total


def _probe_server(
    engine: Engine,
    importer_of: ImporterOf,
    candidates: Sequence[Candidate],
    now: datetime,
    until: float,
) -> Probed:
    probed = Probed()
    for candidate in candidates:
        left = until - time.monotonic()
        if left <= 0:
            break
        probed.asked.append(candidate)
        channel = candidate.channel
        try:
            with importer_of(channel).client(within=min(left, PATIENCE)) as client:
                shown = _shown(client, candidate, now)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the others are asked
            sync.note_failure(engine, channel, now)
            probed.failures[channel.key] = _in_words(error)
            continue
        if shown != candidate.shown:
            sync.save_shown(engine, channel, shown, now)
        if shown != candidate.synced:
            probed.changed.append(candidate)
    return probed


def _shown(client: WahaClient, candidate: Candidate, now: datetime) -> str:
    """Return a hash of what the channel's newest messages are and how far they have come.

    Where messages are known and none is shown, the server is too old to show all chats at once.
    """
    if candidate.engine not in BROWSERS:
        rows = _newest(client, candidate, now)
        if rows is not None:
            return rows
    return _hash(_of_chat(chat) for chat in client.newest_chats(NEWEST_CHATS))


def _newest(client: WahaClient, candidate: Candidate, now: datetime) -> str | None:
    """Return the day from which on messages were asked for, and a hash of the newest of them.

    The day stays what it was while nothing changes: were it always that of the newest known
    message, the first message of each day would look like a change once more after its pass.
    """
    newest = (candidate.watermark or now).astimezone(UTC).date()
    since = min(_since(candidate.shown) or newest, newest)
    rows = client.messages(ALL_CHATS, limit=NEWEST_MESSAGES, order="desc", gte=second_of(since))
    if not rows and candidate.watermark is not None:
        return None
    shown = f"{since} {_hash(_of_message(row) for row in rows)}"
    if shown == candidate.shown:
        return shown
    later = (row for row in rows if _is_from(row, second_of(newest)))
    return f"{newest} {_hash(_of_message(row) for row in later)}"


def _since(shown: str | None) -> date | None:
    day = (shown or "").partition(" ")[0]
    try:
        return date.fromisoformat(day)
    except ValueError:
        return None


def _is_from(row: bytes, second: int) -> bool:
    """Say whether WAHA would show a row from a second on; it shows all without a time."""
    found = timestamp_of(row)
    return found is None or found >= second


def _hash(shown: Iterable[object]) -> str:
    """Hash in an order of our own: rows of one second have none."""
    parts = sorted(msgspec.json.encode(part) for part in shown)
    return hashlib.blake2b(b"\n".join(parts), digest_size=16).hexdigest()


class _Row(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw(b"null")
    timestamp: msgspec.Raw = msgspec.Raw(b"null")
    ack: msgspec.Raw = msgspec.Raw(b"null")
    body: msgspec.Raw = msgspec.Raw(b"null")


_ROW = msgspec.json.Decoder(_Row)


def _of_message(row: bytes) -> object:
    try:
        read = _ROW.decode(row)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return row.hex()
    return [bytes(part).hex() for part in (read.id, read.timestamp, read.ack, read.body)]


def _of_chat(chat: dict[str, Any]) -> object:
    last = chat.get("lastMessage")
    last = last if isinstance(last, dict) else {}
    names = ("id", "timestamp", "t", "conversationTimestamp")
    return [
        *(str(chat.get(name)) for name in names),
        *(str(last.get(name)) for name in ("id", "timestamp", "ack", "body")),
    ]


def _in_words(error: Exception) -> str:
    """Return what an error of this project says; any other's text may quote a row."""
    known = type(error).__module__.startswith("ventros_pipeline")
    return str(error) if known else type(error).__name__
