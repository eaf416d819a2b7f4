"""How many rows a session has, without reading them: NOWEB and GOWS, all chats at once.

What belongs here: finding the end of a list by asking for pages at offsets. What does not: reading
(`windows.py`), and what follows from a number (`foreseeing.py`).

A page beyond the last row is empty, so the length of a list is found like a word in a dictionary:
with about twice the logarithm of requests. WAHA counts offsets before it drops some rows, so what
is counted is what its store holds, and a page in the middle that is short tells how many of them it
drops. A stretch of `PROBE` dropped rows would look like the end; no larger one was ever seen
outside of tests.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ventros_pipeline.waha.client import ALL_CHATS, WahaClient
from ventros_pipeline.waha.errors import WahaUnsupportedError

# Rows of a page: enough to be a sample, few enough to cost nothing.
PROBE = 50
# No store holds as many rows as this.
_ENDLESS = 1 << 30


@dataclass
class Counter:
    """Counts rows of a session, and keeps those that it came by.

    Attributes:
        seen: rows of pages, by window and offset.
        asked: rows that pages before the end were asked for; `shown`: those that they had.
    """

    client: WahaClient
    seen: dict[tuple[int | None, int | None, int], list[bytes]] = field(default_factory=dict)
    asked: int = 0
    shown: int = 0

    def page(self, gte: int | None, lte: int | None, offset: int) -> list[bytes]:
        """Return the rows at an offset of a window, both of whose seconds belong to it."""
        place = (gte, lte, offset)
        if place not in self.seen:
            self.seen[place] = self.client.messages(
                ALL_CHATS, limit=PROBE, offset=offset, gte=gte, lte=lte
            )
        return self.seen[place]

    def count(self, gte: int | None, lte: int | None, guess: int = 0) -> int:
        """Return how many rows the store holds of a window.

        Args:
            gte: first second; None for no bound.
            lte: last second; None for no bound.
            guess: about how many; a good one saves requests.

        Raises:
            WahaUnsupportedError: the server ignores offsets.
        """
        low, high, step = 0, _ENDLESS, PROBE
        at = max(guess - PROBE // 2, 0)
        while low < high:
            rows = self.page(gte, lte, at)
            if at and rows and rows == self.seen.get((gte, lte, 0)):
                raise WahaUnsupportedError("the server ignores offsets")
            if not rows:
                high = at
            elif len(rows) < PROBE and (at + PROBE >= high or not self.page(gte, lte, at + PROBE)):
                return at + len(rows)
            else:
                low = at + PROBE
            at, step = _next(low, high, step)
        return low

    def sample(self, gte: int | None, lte: int | None, rows: int, pages: int) -> list[Sampled]:
        """Return pages spread evenly over a window of so many rows; all of it where it is short."""
        if rows <= pages * PROBE:
            offsets = list(range(0, rows, PROBE))
        else:
            offsets = [rows * n // pages for n in range(pages)]
        found = [Sampled(offset, self.page(gte, lte, offset)) for offset in offsets]
        self.asked = sum(min(PROBE, rows - one.offset) for one in found)
        self.shown = sum(len(one.rows) for one in found)
        return found


@dataclass(frozen=True)
class Sampled:
    """A page: where it stands in its window, and its rows."""

    offset: int
    rows: list[bytes]


def _next(low: int, high: int, step: int) -> tuple[int, int]:
    """Return the next offset to ask for, and how far to jump if that does not bound the end."""
    if high == _ENDLESS:
        return low + step - PROBE, step * 4
    if low == 0:
        return max(high - step, 0), step * 4
    return (low + high) // 2 if high - low > PROBE else low, step
