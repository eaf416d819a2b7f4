"""Requests against the minimum, from the server's own statistics.

    python -m benchmarks.requests [--messages 50000] [--limit 500 ...]

NOWEB and GOWS are read twice. `one range` is the whole calendar in one walk; a window is then a UTC
day, the smallest thing that is planned and archived. `runs` is what an import does: ranges of 31
days, each with a reader that knows nothing of the others, and a window is such a range; this is the
harder of the two. The minimum is one request per page of messages and one per window that is not
empty, so it does not depend on how the reader cuts time. `per page` leaves the windows out.

WEBJS and WPP are read whole, as a first import does, and over the last days of the account: an
increment. The minimum is one request per chat that has a message in that range or behind it. A chat
whose last message claims a time in the future (a generated account has one) is behind every range:
the server lists it as changed, and only a request for it tells whether an honest message lies
before that one. No reader can do without that request and be complete, so it is in the minimum; one
that asked for more of such a chat would still be seen to.

Only requests for messages are counted; the list of chats takes one or two more.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

from rich.console import Console
from rich.table import Table

from benchmarks.accounts import (
    ACCOUNTS,
    DAY,
    END,
    ENGINES,
    START,
    Measured,
    changed_chats,
    honest_times,
    measured,
    patient_client,
    versions,
)
from ventros_pipeline.replay.engine import MESSAGES
from ventros_pipeline.replay.server import ReplayServer
from ventros_pipeline.waha.client import WahaClient
from ventros_pipeline.waha.pages import Reader
from ventros_pipeline.waha.reading import choose_reader

WINDOWS_TARGET, CHATS_TARGET = 1.3, 1.2
BY_WINDOWS = ("noweb", "gows")
INCREMENTS = (1, 7, 30)
RUN = 31 * DAY


@dataclass(frozen=True)
class Line:
    """One measurement.

    Attributes:
        minimum: requests that nothing could do without, and how they are made up.
        bare: requests per page of messages alone; None where chats are counted.
        target: None when the line is only for information.
    """

    account: str
    engine: str
    limit: int
    what: str
    messages: int
    requests: int
    minimum: float
    made_up: str
    bare: float | None
    target: float | None
    seconds: float

    @property
    def ratio(self) -> float:
        """Requests against the minimum."""
        return self.requests / self.minimum

    @property
    def met(self) -> str:
        """Whether the target was met."""
        return "-" if self.target is None else "yes" if self.ratio <= self.target else "NO"

    def cells(self) -> list[str]:
        """Return the line as the table shows it."""
        return [
            self.account,
            self.engine.upper(),
            str(self.limit),
            self.what,
            f"{self.messages:,}",
            f"{self.requests:,}",
            self.made_up,
            f"{self.ratio:.2f}",
            "-" if self.target is None else f"<= {self.target}",
            self.met,
            "-" if self.bare is None else f"{self.bare:.2f}",
            f"{self.seconds:.1f}",
        ]


HEADINGS = (
    "account",
    "engine",
    "page",
    "read",
    "messages",
    "requests",
    "minimum",
    "ratio",
    "target",
    "met",
    "per page",
    "s",
)


def by_windows(account: Measured, engine: str, limit: int) -> Iterator[Line]:
    """Read everything: in one walk, and in runs as a first import does."""
    with ReplayServer(account.folder, engine=engine) as server, patient_client(server) as client:
        times = [stamp for stamps in honest_times(server.truth).values() for stamp in stamps]
        first = min(times) // DAY * DAY
        runs = [(start, start + RUN) for start in range(first, max(times) + 1, RUN)]
        for what, ranges, window in (
            ("one range", [(START, END)], DAY),
            ("runs", runs, RUN),
        ):
            server.stats.reset()
            messages, seconds = 0, 0.0
            for place, (start, end) in enumerate(ranges):
                reader = choose_reader(client.probe(), page_size=limit)
                # The calendar's first range also takes what lies outside of the calendar.
                outside = None if place else (ranges[0][0], ranges[-1][1])
                found, took = _read(client, reader, start, end, outside)
                messages += found
                seconds += took
            pages = messages / limit
            windows = len({(stamp - first) // window for stamp in times})
            yield Line(
                account.name,
                engine,
                limit,
                what,
                messages,
                _asked(server),
                pages + windows,
                f"{pages:.1f} pages + {windows} windows",
                _asked(server) / pages,
                WINDOWS_TARGET,
                seconds,
            )


def by_chats(account: Measured, engine: str, limit: int) -> Iterator[Line]:
    """Read everything, then what the account's last days changed."""
    with ReplayServer(account.folder, engine=engine) as server, patient_client(server) as client:
        times = honest_times(server.truth)
        newest = max(stamp for stamps in times.values() for stamp in stamps)
        for days in (None, *INCREMENTS):
            end = newest + 1
            start = START if days is None else end - days * DAY
            # Each increment is a run of its own and knows nothing of the one before.
            reader = choose_reader(client.probe(), page_size=limit)
            server.stats.reset()
            outside = (start, end) if days is None else None
            messages, seconds = _read(client, reader, start, end, outside)
            changed = len(changed_chats(server.truth, start))
            yield Line(
                account.name,
                engine,
                limit,
                "first import" if days is None else f"last {days} d",
                messages,
                _asked(server),
                changed,
                f"{changed} chats",
                None,
                CHATS_TARGET,
                seconds,
            )


def _read(
    client: WahaClient, reader: Reader, start: int, end: int, outside: tuple[int, int] | None
) -> tuple[int, float]:
    """Read a range, and what is outside of another; return distinct rows and seconds."""
    begun = perf_counter()
    rows: set[bytes] = set()
    for page in reader.read(client, start, end, outside=outside):
        rows.update(page.rows)
    return len(rows), perf_counter() - begun


def _asked(server: ReplayServer) -> int:
    return server.stats.requests[f"GET {MESSAGES}"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.requests")
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--limit", type=int, nargs="+", default=[100, 500])
    parser.add_argument("--engine", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--account", nargs="+", choices=ACCOUNTS, default=ACCOUNTS)
    asked = parser.parse_args(arguments)
    table = Table(*HEADINGS, title="Requests for messages against the minimum", caption=versions())
    with measured(tuple(asked.account), asked.messages) as accounts:
        for account in accounts:
            for engine in asked.engine:
                measure = by_windows if engine in BY_WINDOWS else by_chats
                for limit in asked.limit:
                    for line in measure(account, engine, limit):
                        table.add_row(*line.cells())
    console = Console()
    console.width = max(console.width, 140)
    console.print(table)


if __name__ == "__main__":
    main()
