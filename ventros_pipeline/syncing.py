"""A pass: one channel brought up to date, without Dagster.

What belongs here: which days a pass reads, whole or in part, and in which order. What does not: how
days are read and loaded (`importer.py`), when they are due (`crm/coverage.py`), and whether a
channel has changed at all (`probing.py`).

A pass reads what is new since the newest known message, less an overlap for rows that come late,
and looks at the days that are due. Where one request can tell whether a month still grows, it is
asked first; a month that does is read whole. A pass is no import: the channel's import status stays
what it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from ventros_pipeline.crm import coverage, ledger
from ventros_pipeline.crm import sync as passes
from ventros_pipeline.crm.coverage import DueDay
from ventros_pipeline.crm.limits import allowed_days
from ventros_pipeline.importer import Importer
from ventros_pipeline.transform.times import DAY, second_of
from ventros_pipeline.waha.client import ALL_CHATS, WahaClient
from ventros_pipeline.waha.pages import timestamp_of
from ventros_pipeline.waha.reading import Reader

NEVER = "it was never imported, so there is nothing to keep in step: `ventros import` comes first"
# A row that WAHA drops after counting it must not hide the one behind it.
PROBE_ROWS = 20
WINDOW_DAYS = 31
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Synced:
    """What a pass did.

    Attributes:
        days_read: days of which anything was asked, in part or whole.
        days_quiet: days that one request showed not to have grown.
        requests: all that WAHA was asked.
        by_day: what the load did of each day (`ledger.COUNTS`).
        notes: what a person should know.
    """

    days_read: int = 0
    days_quiet: int = 0
    requests: int = 0
    by_day: dict[date, dict[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> dict[date, dict[str, int]]:
        """The days of which a row was inserted or updated."""
        return {day: c for day, c in self.by_day.items() if c["inserted"] or c["updated"]}

    def total(self, name: str) -> int:
        """Return one of `ledger.COUNTS` over all days."""
        return sum(counts[name] for counts in self.by_day.values())


def sync(importer: Importer, *, reread_days: int = 0) -> Synced:
    """Bring the importer's channel up to date.

    Args:
        importer: of a run of its own, with the channel's turn taken.
        reread_days: of how many last days acks, edits and revokes are looked for, too.

    Raises:
        WahaError, ArchiveError, sqlalchemy.exc.DBAPIError: the channel is left alone for a while;
            what was loaded before is kept.
    """
    begun = passes.begin(importer.engine, importer.channel)
    if begun.known_until is None:
        return Synced(notes=(NEVER,))
    try:
        done = _Pass(importer, begun, begun.known_until).run(reread_days)
    except Exception:
        passes.note_failure(importer.engine, importer.channel, importer.now)
        raise
    passes.note_success(importer.engine, importer.channel, begun, importer.now)
    return done


@dataclass
class _Pass:
    """One pass while it runs.

    Attributes:
        known_until: the newest known message's time.
        recent: the days from there to today.
        tail: days of which what is new was read.
        whole: days that were read whole.
        quiet: days that were found not to have grown.
    """

    importer: Importer
    begun: passes.Begun
    known_until: datetime
    recent: list[date] = field(default_factory=list)
    tail: set[date] = field(default_factory=set)
    whole: set[date] = field(default_factory=set)
    quiet: set[date] = field(default_factory=set)

    def run(self, reread_days: int) -> Synced:
        importer = self.importer
        importer.refresh_directory()
        with importer.client() as client:
            reader = importer.reader(client.probe())
            due = self._due(reread_days)
            self._read_tail(client, reader, {day.day for day in due if self._is_read(day)})
            self._look_at(client, reader, due)
            importer.count_requests(client)
            importer.notes.extend(reader.notes)
        by_day = self._load()
        totals = ledger.totals(importer.engine, importer.channel, [importer.run_id])
        return Synced(
            days_read=len(self.tail | self.whole),
            days_quiet=len(self.quiet),
            requests=totals["requests"],
            by_day=by_day,
            notes=tuple(importer.notes),
        )

    def _due(self, reread_days: int) -> list[DueDay]:
        importer = self.importer
        found = coverage.due_days(
            importer.engine,
            importer.now,
            start=importer.calendar.start,
            overlap=importer.settings.overlap,
            channels=[importer.channel.id],
            reread_days=reread_days,
        )
        return found.get(importer.channel.id, [])

    def _is_read(self, due: DueDay) -> bool:
        """Say whether a day is read without asking whether it has grown.

        The calendar's first day holds what is in no window of time, so no such request tells.
        """
        return due.why != "settle" or due.day == self.importer.calendar.start

    def _read_tail(self, client: WahaClient, reader: Reader, whole: set[date]) -> None:
        """Read what is new; nothing where all of its days are to be read whole anyway."""
        now, calendar = self.importer.now, self.importer.calendar
        overlap = self.importer.settings.overlap
        since = max(int((self.known_until - overlap).timestamp()), calendar.start_second)
        first = min(calendar.day_of(since), now.date())
        limit = self.importer.channel.max_days
        self.recent = allowed_days(_days(first, now.date()), limit, now.date())
        if not self.recent or whole.issuperset(self.recent):
            return
        read = self.importer.read_with(client, reader, self.recent, since=since)
        self.tail.update(day.day for day in read)

    def _look_at(self, client: WahaClient, reader: Reader, due: Sequence[DueDay]) -> None:
        read = {day.day for day in due if self._is_read(day)}
        asked = {day.day for day in due} - read
        if reader.ranges_are_cheap:
            for span in _spans(read):
                self._read(client, reader, span)
        elif due:
            self._read(client, reader, _days(min(read | asked), max(read | asked)))
        if not asked or not reader.ranges_are_cheap:
            # A server that turned out to be too old only now is read in one go the next time.
            return
        for span in _spans(asked):
            self._check(client, reader, span)
        self._look_back(client, reader)

    def _check(self, client: WahaClient, reader: Reader, days: Sequence[date]) -> None:
        """Ask for a row beyond the known ones; read the days whole if there is any."""
        importer = self.importer
        known = sum(coverage.rows_of(importer.engine, importer.channel, days).values())
        if _rows_between(client, days, offset=known):
            self._read(client, reader, days)
        else:
            coverage.note_quiet(importer.engine, importer.channel, days, importer.now)
            self.quiet.update(days)

    def _look_back(self, client: WahaClient, reader: Reader) -> None:
        """Read days that were empty when everything was imported and are not any more."""
        importer = self.importer
        gap = coverage.gap_of(importer.engine, importer.channel, importer.calendar.start)
        if gap is None:
            return
        today = importer.now.date()
        days = allowed_days(_days(*gap), importer.channel.max_days, today)
        times = [timestamp_of(row) for row in _rows_between(client, days)] if days else []
        if found := [time for time in times if time is not None]:
            self._read(client, reader, _days(importer.calendar.day_of(min(found)), days[-1]))

    def _read(self, client: WahaClient, reader: Reader, days: Sequence[date]) -> None:
        self.whole.update(day.day for day in self.importer.read_with(client, reader, days))

    def _load(self) -> dict[date, dict[str, int]]:
        """Load what was read: what is new first, then older days within the import's limit."""
        importer = self.importer
        read, by_day = self.tail | self.whole, dict[date, dict[str, int]]()
        for loaded in importer.load_days(sorted(read.intersection(self.recent))):
            by_day |= loaded.by_day
        older = sorted(read.difference(self.recent))
        for loaded in importer.load_days(older, max_per_chat=self.begun.max_per_chat):
            by_day |= loaded.by_day
        return by_day


def _rows_between(client: WahaClient, days: Sequence[date], *, offset: int = 0) -> list[bytes]:
    """Return the first rows of some contiguous days, after so many."""
    return client.messages(
        ALL_CHATS,
        limit=PROBE_ROWS,
        offset=offset,
        gte=second_of(days[0]),
        lte=second_of(days[-1]) + DAY - 1,
    )


def _days(first: date, last: date) -> list[date]:
    return [first + ONE_DAY * number for number in range((last - first).days + 1)]


def _spans(days: Iterable[date]) -> Iterator[list[date]]:
    """Group days into contiguous ones, at most a month of them together."""
    span: list[date] = []
    for day in sorted(days):
        if span and (day - span[-1] != ONE_DAY or len(span) >= WINDOW_DAYS):
            yield span
            span = []
        span.append(day)
    if span:
        yield span
