"""What an import would find, cost and join: the dry run. Nothing is written, little is asked.

What belongs here: the questions, and how a number follows from the answers. What does not: how rows
are counted (`waha/counting.py`), and the plan of days (`planning.py`).

A number is either counted (`exact`) or follows from a sample; whoever shows it says which. What
bounds the questions: `SAMPLE_PAGES` pages of `PROBE` rows, `WINDOW_REQUESTS` requests for the rows
of each run, and the lists of chats, contacts, LIDs and groups, as the import itself reads them.
The only rows that a dry run touches are those of the courtesy that all processes share: its
requests wait their turn like any other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from ventros_pipeline.crm.limits import DayRange
from ventros_pipeline.crm.merging import Foreseen, foresee
from ventros_pipeline.crm.tombstones import archiving
from ventros_pipeline.importer import Importer
from ventros_pipeline.transform import messages
from ventros_pipeline.transform.identity import Evidence
from ventros_pipeline.transform.times import DAY, Calendar, second_of
from ventros_pipeline.waha.client import WahaClient
from ventros_pipeline.waha.counting import PROBE, Counter, Sampled
from ventros_pipeline.waha.directory import Directory, address_of, read_directory
from ventros_pipeline.waha.envelope import envelope_of
from ventros_pipeline.waha.erasing import Eraser
from ventros_pipeline.waha.errors import WahaUnsupportedError
from ventros_pipeline.waha.ids import AddressKind, kind_of
from ventros_pipeline.waha.pages import timestamp_of
from ventros_pipeline.waha.wire import decode_rows

SAMPLE_PAGES = 20
WINDOW_REQUESTS = 60
# Chats of a browser that are looked into, newest first, and rows of each.
SAMPLE_CHATS = 10
CHAT_ROWS = 100
CHATS_NAMED = 20
# Requests of a run besides its pages: two to ask what the server is, one or two to confirm its end;
# and those for what has no trustworthy time, with the first day of the calendar.
RUN_REQUESTS, OUTSIDE_REQUESTS = 4, 4


@dataclass(frozen=True)
class RunForecast:
    """Days of one run, and the rows that WAHA's store has of them; null where nothing tells."""

    days: DayRange
    rows: int | None
    exact: bool

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "from": self.days.first.isoformat(),
            "to": self.days.last.isoformat(),
            "days": self.days.days,
            "rows": self.rows,
            "exact": self.exact,
        }


@dataclass(frozen=True)
class ChatForecast:
    """A chat, named so that nobody's number is told, and about how many rows it has.

    Attributes:
        at_least: whether there may be many more: only its newest rows were looked at.
    """

    chat: str
    rows: int
    exact: bool
    at_least: bool = False


@dataclass(frozen=True)
class Media:
    """Files that messages declare.

    Attributes:
        files: about how many messages have one.
        bytes: about how much those are that declare their size.
        declared: share of the sample's files that declare it, 0 to 1; null where there are none.
    """

    files: int
    bytes: int
    declared: float | None


@dataclass
class Forecast:
    """What a dry run found; see `as_json` for what each figure is based on."""

    engine: str
    runs: list[RunForecast]
    rows: int | None
    sample_rows: int
    complete: bool
    shown: float | None
    left_out: dict[str, int]
    unreadable: int
    chats_listed: int
    chats: list[ChatForecast]
    media: Media | None
    people: Foreseen
    reading_requests: int | None
    directory_requests: int
    seconds: float | None
    requests_made: int
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the figures.

        - `runs`: `from`, `to`, `days`, `rows`, and whether these rows are `exact`, that is counted;
          where they are not, they are the sample's share. `rows` is null where the engine can count
          nothing.
        - `rows`: `stored`, counted in WAHA's store; `imported`, about how many of them become
          messages; `left_out`, by reason, about; `unreadable`, about.
        - `chats`: how many are `listed`; the `largest` of them with about how many rows each.
        - `media`: `files` and `bytes`, about; `declared`, the share of files that tell their size.
        - `people`: `addresses` of listed conversations between two, and the `people` they are by
          what WAHA lists; `contacts_merged` and `contacts_split`, of those in the CRM.
        - `requests`: `reading` and `directory` of the import, about; `made` by this dry run.
        - `seconds`: how long the reading takes at least, at the pace that the settings allow and
          that this dry run was answered with. Loading comes on top.
        - Where `stored` is null, `left_out`, `unreadable` and `media` are the sample's own.
        - `sample`: its `rows`, and whether it is `complete`: then all the figures above that are
          "about" are counted.
        """
        exact = self.rows is not None and self.complete
        imported = None
        if self.rows is not None:
            shown = round(self.rows * (1.0 if self.shown is None else self.shown))
            imported = max(shown - sum(self.left_out.values()) - self.unreadable, 0)
        return {
            "engine": self.engine,
            "runs": [run.as_json() for run in self.runs],
            "rows": {
                "stored": self.rows,
                "imported": imported,
                "left_out": self.left_out,
                "unreadable": self.unreadable,
            },
            "chats": {
                "listed": self.chats_listed,
                "largest": [asdict(chat) for chat in self.chats],
            },
            "media": self.media and asdict(self.media),
            "people": {
                "addresses": self.people.addresses,
                "people": self.people.people,
                "contacts_merged": self.people.merged,
                "contacts_split": self.people.split,
            },
            "requests": {
                "reading": self.reading_requests,
                "directory": self.directory_requests,
                "made": self.requests_made,
            },
            "seconds": None if self.seconds is None else round(self.seconds, 1),
            "sample": {"rows": self.sample_rows, "complete": exact},
            "notes": self.notes,
        }


def forecast(
    importer: Importer, plan: Sequence[DayRange], *, windows: bool, asked_before: int = 0
) -> Forecast:
    """Ask WAHA what the runs of a plan would find.

    Args:
        importer: of the channel; its run is never begun.
        plan: ranges of days, newest first.
        windows: whether the server can be asked for all chats at once.
        asked_before: requests that making the plan took.

    Raises:
        WahaError: WAHA cannot be read.
    """
    with importer.client() as client:
        probe = client.probe()
        before = client.stats.requests
        directory = read_directory(client)
        listed = client.stats.requests - before
        own = probe.me.own_addresses
        try:
            look = _by_windows if windows else _by_chats
            found = look(client, directory, plan, importer, own)
        except WahaUnsupportedError:
            # Too old to be asked for all chats at once.
            found = _by_chats(client, directory, plan, importer, own)
        stats = client.stats
    evidence = [Evidence(*pair, importer.now) for pair in sorted(directory.pairs)]
    pace = max(1 / importer.settings.waha_rate, stats.seconds / max(stats.requests, 1))
    reading = found.requests
    return Forecast(
        engine=probe.engine.value,
        runs=found.runs,
        rows=found.rows,
        sample_rows=found.sample.height,
        complete=found.complete,
        shown=found.shown,
        left_out=found.left_out,
        unreadable=found.unreadable,
        chats_listed=sum(entry.has_chat for entry in directory.entries.values()),
        chats=found.chats,
        media=found.media,
        people=foresee(importer.engine, importer.channel, evidence, _conversations(directory, own)),
        reading_requests=reading,
        directory_requests=listed,
        seconds=None if reading is None else pace * (reading + listed),
        requests_made=stats.requests + asked_before,
        notes=found.notes,
    )


@dataclass
class _Found:
    runs: list[RunForecast]
    rows: int | None
    sample: pl.DataFrame
    complete: bool
    shown: float | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    unreadable: int = 0
    chats: list[ChatForecast] = field(default_factory=list)
    media: Media | None = None
    requests: int | None = None
    notes: list[str] = field(default_factory=list)


def _by_windows(
    client: WahaClient,
    directory: Directory,
    plan: Sequence[DayRange],
    importer: Importer,
    own: frozenset[str],
) -> _Found:
    """Count the rows of all chats at once, and look at some of them."""
    counter, calendar = Counter(client), importer.calendar
    whole = DayRange(min(d.first for d in plan), max(d.last for d in plan))
    bounds = _seconds(whole, calendar)
    rows = counter.count(*bounds)
    pages = counter.sample(*bounds, rows, SAMPLE_PAGES)
    shown = counter.shown / counter.asked if counter.asked else 1.0
    raw = [row for page in pages for row in page.rows]
    judged, decoded, bad = _judged(raw, importer, own)
    complete = rows <= SAMPLE_PAGES * PROBE
    # A row of the sample stands for so many of all.
    weight = rows * shown / len(raw) if raw else 0.0
    runs = _count_runs(counter, plan, pages, rows, calendar)
    size = importer.settings.page_size
    reading = sum(math.ceil((run.rows or 0) / size) + RUN_REQUESTS for run in runs)
    if calendar.start in (days.first for days in plan):
        reading += OUTSIDE_REQUESTS
    notes = []
    if shown < 1:
        notes.append(
            f"WAHA shows about {shown:.1%} of the rows that its store counts; the others are no "
            "messages, and are not asked for again."
        )
    return _Found(
        runs,
        rows,
        decoded,
        complete,
        shown,
        _left_out(judged, weight),
        round(bad * weight),
        _largest(judged.kept, weight, complete),
        _media(judged.kept, weight),
        reading,
        notes,
    )


def _count_runs(
    counter: Counter,
    plan: Sequence[DayRange],
    pages: Sequence[Sampled],
    rows: int,
    calendar: Calendar,
) -> list[RunForecast]:
    """Count each run's rows while requests may be made for it, newest first; guess the others."""
    if len(plan) == 1:
        return [RunForecast(plan[0], rows, True)]
    until = counter.client.stats.requests + WINDOW_REQUESTS
    found = []
    for days in plan:
        guess = _guess(days, pages, rows, calendar)
        exact = counter.client.stats.requests < until
        count = counter.count(*_seconds(days, calendar), guess=guess) if exact else guess
        found.append(RunForecast(days, count, exact))
    return found


def _guess(days: DayRange, pages: Sequence[Sampled], rows: int, calendar: Calendar) -> int:
    """Return about how many rows some days have: from the times of rows whose place is known."""
    places = [
        (time, page.offset + n)
        for page in pages
        for n, row in enumerate(page.rows)
        if (time := timestamp_of(row)) is not None
    ]
    first, last = _seconds(days, calendar)
    begin = _place(places, first, rows) if first is not None else 0
    return max(_place(places, last + 1, rows) - begin, 0) if last is not None else rows - begin


def _place(places: Sequence[tuple[float, int]], second: int, rows: int) -> int:
    """Return about how many rows are older than a second, between the two known next to it."""
    before = max((p for p in places if p[0] < second), default=None)
    after = min((p for p in places if p[0] >= second), default=None)
    if before is None:
        return 0
    if after is None:
        return rows
    share = (second - before[0]) / max(after[0] - before[0], 1)
    return round(before[1] + share * (after[1] - before[1]))


def _seconds(days: DayRange, calendar: Calendar) -> tuple[int | None, int | None]:
    """Return the first and the last second of some days; the first day has no first second."""
    first = None if days.first <= calendar.start else second_of(days.first)
    return first, second_of(days.last) + DAY - 1


def _by_chats(
    client: WahaClient,
    directory: Directory,
    plan: Sequence[DayRange],
    importer: Importer,
    own: frozenset[str],
) -> _Found:
    """Look at the newest rows of the newest chats, where rows of all chats cannot be counted."""
    first, last = _seconds(
        DayRange(min(d.first for d in plan), max(d.last for d in plan)), importer.calendar
    )
    raw, chats = [], []
    for chat in client.newest_chats(SAMPLE_CHATS):
        address = address_of(chat.get("id"))
        if address is None:
            continue
        rows = client.messages(address, limit=CHAT_ROWS, order="desc", slow=True)
        within = [row for row in rows if _is_within(row, first, last)]
        raw += within
        chats.append(
            ChatForecast(
                _masked(address), len(within), len(rows) < CHAT_ROWS, bool(rows[CHAT_ROWS - 1 :])
            )
        )
    judged, decoded, bad = _judged(raw, importer, own)
    listed = sum(entry.has_chat for entry in directory.entries.values())
    return _Found(
        [RunForecast(days, None, False) for days in plan],
        None,
        decoded,
        False,
        None,
        _left_out(judged, 1.0),
        bad,
        chats,
        _media(judged.kept, 1.0),
        listed * len(plan) + RUN_REQUESTS * len(plan),
        [
            "This engine counts nothing without walking every chat: the figures are those of the "
            f"newest {CHAT_ROWS} rows of its {len(chats)} newest chats, not of the whole account. "
            "The requests are one for each chat that is listed, at least."
        ],
    )


def _is_within(row: bytes, first: int | None, last: int | None) -> bool:
    time = timestamp_of(row)
    if time is None:
        return first is None
    return (first is None or time >= first) and (last is None or time <= last)


def _judged(
    raw: Sequence[bytes], importer: Importer, own: frozenset[str]
) -> tuple[messages.Judged, pl.DataFrame, int]:
    """Decode and divide a sample as a load would; also return how many rows cannot be read."""
    with archiving(importer.engine, importer.channel) as tombstones:
        eraser = Eraser(tombstones.covers)
    cleaned = [(row, eraser.clean(row)) for row in raw]
    rows = [clean for _, clean in cleaned if clean is not None]
    decoded = decode_rows(rows, own)
    named = _named(rows, importer).with_row_index("index")
    frame = decoded.frame.join(
        named.cast({"index": pl.Int64}), on="index", how="inner", maintain_order="left"
    )
    judged = messages.judge(
        frame,
        importer.calendar,
        own_addresses=own,
        allow_groups=importer.channel.allow_groups,
    )
    theirs = _named([row for row, clean in cleaned if clean is None], importer)
    judged = messages.leave_out(judged, theirs.select("day", "row_key").unique(), messages.ERASED)
    return judged, frame, len(decoded.rejected)


def _named(rows: Sequence[bytes], importer: Importer) -> pl.DataFrame:
    """Return of each row what the archive would say of it."""
    envelopes = [envelope_of(row) for row in rows]
    return pl.DataFrame(
        [(importer.calendar.day_of(e.timestamp), e.row_key, importer.now) for e in envelopes],
        schema={"day": pl.Date, "row_key": pl.String, "read_at": pl.Datetime("us", "UTC")},
        orient="row",
    )


def _left_out(judged: messages.Judged, weight: float) -> dict[str, int]:
    counted = judged.filtered.group_by("reason").agg(pl.col("rows").sum()).sort("reason")
    return {reason: round(rows * weight) for reason, rows in counted.iter_rows()}


def _largest(kept: pl.DataFrame, weight: float, complete: bool) -> list[ChatForecast]:
    counted = kept.group_by("chat").len().sort("len", "chat", descending=[True, False])
    return [
        ChatForecast(_masked(chat), round(rows * weight), complete)
        for chat, rows in counted.head(CHATS_NAMED).iter_rows()
    ]


def _media(kept: pl.DataFrame, weight: float) -> Media:
    files = kept.filter("has_media")
    sized = files["media_size"].drop_nulls()
    declared = round(sized.len() / files.height, 3) if files.height else None
    return Media(round(files.height * weight), round(int(sized.sum()) * weight), declared)


def _masked(address: str) -> str:
    """Name a chat by its kind and the last four digits of its address."""
    name = address.partition("@")[0]
    return f"{kind_of(address).value} …{name[-4:]}"


def _conversations(directory: Directory, own: frozenset[str]) -> list[str]:
    """Return the addresses of people who are talked with one to one."""
    people = (AddressKind.PERSON, AddressKind.LID)
    return sorted(
        entry.address
        for entry in directory.entries.values()
        if entry.has_chat and kind_of(entry.address) in people and entry.address not in own
    )
