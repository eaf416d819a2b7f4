"""The walk over windows of time, for engines that list all chats at once: NOWEB and GOWS.

What belongs here: how a range of time becomes requests with `chatId=all` (or one chat). What does
not: engines that answer per chat only (`perchat.py`) and HTTP (`client.py`).

`all` is also the only way to chats that the list of chats does not show (observed: messages of
unlisted chats and of a bot), which is why nothing here asks for that list.

Facts behind the walk, all measured on a real server: `limit` counts rows before WAHA drops some of
them, so a short page is not the end and an empty one may not be; a revoke deletes a row, so every
offset behind it shifts; rows of one second have no order; ordering is by the JSON text of the
timestamp, so only numbers of the same length compare like numbers; each page sorts its whole
window, so a deep offset over everything costs 0.45 s and a narrow window a few milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from ventros_pipeline.waha.client import ALL_CHATS, WahaClient
from ventros_pipeline.waha.errors import WahaError, WahaProtocolError, WahaUnsupportedError
from ventros_pipeline.waha.pages import (
    DAY,
    FIRST_SECOND,
    ORDERED_FROM,
    ORDERED_UNTIL,
    WIDEST,
    Page,
    is_cut,
    placed,
    roomy,
    second_of_row,
    timestamp_of,
)

# A window is asked to hold about two pages: a full page wastes no request, and the rows that do not
# fit cost the server only the sorting of one page more.
_FILL = 2.0
# The first window, when nothing is known of the density: a run's month. Beginning with a day cost a
# quiet month two requests that brought a handful of rows each.
_FIRST_SPAN = 31 * DAY
_GROWTH = 8
_MIN_SPAN = 60
# A page that has to be larger than the page size (a burst in one second, rows without an order)
# grows by this factor from at least that many rows.
_WIDEN = 4
_WIDE = 100
# The page that confirms an end. It holds few rows, so its width costs nothing; it was 4 pages wide
# once, and a longer stretch of dropped rows (a bulk of calls) hid what followed it.
_CONFIRM = 8_192
_PATIENCE = 200


@dataclass(frozen=True)
class WindowReader:
    """Reads NOWEB and GOWS by windows of time over `chatId=all`, or over given chats.

    Attributes:
        page_size: rows asked for in one request, at least 1.
    """

    page_size: int

    @property
    def notes(self) -> Sequence[str]:
        """Nothing: a server that this walk can read has no gaps to tell of."""
        return ()

    @property
    def ranges_are_cheap(self) -> bool:
        """True: a window costs what is in it."""
        return True

    def read(
        self, client: WahaClient, start: int, end: int, chats: Sequence[str] | None = None
    ) -> Iterator[Page]:
        """Yield every row with `start <= timestamp < end` that exists during the whole read.

        A cursor walks up the seconds; no offset is used, so nothing that happens between two
        requests can shift a row out of sight. See `_Walk`.

        Args:
            client: client of the session.
            start: first second, epoch.
            end: second after the last, epoch.
            chats: chat ids; None reads every chat of the session at once.

        Yields:
            Pages in ascending time; rows without a numeric timestamp may be among them. With
            several chats, `complete_before` stays at `start` until the last of them.

        Raises:
            WahaProtocolError: the walk makes no progress; the message names the window.
            WahaUnsupportedError: the server ignores the order or the bounds it was asked for.
        """
        names = [ALL_CHATS] if chats is None else chats
        for position, chat in enumerate(names, 1):
            for page in self._read_chat(client, chat, start, end):
                yield page if position == len(names) else Page(page.rows, start)

    def read_unplaced(
        self, client: WahaClient, before: int, after: int, chats: Sequence[str] | None = None
    ) -> Iterator[Page]:
        """Yield the rows that no window of days between `before` and `after` finds.

        - Older than `before`: zero, negative, pre-2009, and honest messages from before the
          calendar starts. Ten-digit times are walked; shorter and negative ones, whose text order
          is not their number's, are taken in one window that is read whole.
        - At or after `after`: future times are walked, eleven digits and more (milliseconds) are
          one window that is read whole.
        - Null, text, or no timestamp at all: these match no filter on numbers, so they are read
          without one. As JSON text they sort to an end of the list (null last and strings first in
          NOWEB; SQL nulls first elsewhere), so both ends are read until a number with ten digits
          shows that the odd ones are over.

        Args:
            client: client of the session.
            before: first second that windows cover, epoch.
            after: first second that windows do not cover any more, epoch.
            chats: chat ids; None reads every chat of the session at once.

        Yields:
            Pages in no order; `complete_before` is always `before`, for it says nothing here. A row
            may come twice.
        """
        for chat in [ALL_CHATS] if chats is None else chats:
            reads = (
                _whole(client, chat, self.page_size, None, min(before, ORDERED_FROM) - 1),
                self._rows_between(client, chat, ORDERED_FROM, before),
                self._rows_between(client, chat, max(after, ORDERED_FROM), ORDERED_UNTIL),
                _whole(client, chat, self.page_size, max(after, ORDERED_UNTIL), None),
                _odd_end(client, chat, self.page_size, "desc"),
                _odd_end(client, chat, self.page_size, "asc"),
            )
            for rows in (rows for read in reads for rows in read):
                wanted = [row for row in rows if not placed(row, before, after)]
                if wanted:
                    yield Page(wanted, before)

    def oldest(self, client: WahaClient) -> int | None:
        """Return the first trustworthy timestamp of the session, epoch seconds, or None.

        One request in the common case; a second one, wide, when the first page is empty.
        """
        for limit in (1, _CONFIRM):
            rows = client.messages(ALL_CHATS, limit=limit, gte=FIRST_SECOND, lte=ORDERED_UNTIL - 1)
            times = [t for row in rows if (t := timestamp_of(row)) is not None]
            if times:
                return math.floor(min(times))
        return None

    def _read_chat(self, client: WahaClient, chat: str, start: int, end: int) -> Iterator[Page]:
        """Cut the range where the number of digits changes; see the module's docstring."""
        if start < ORDERED_FROM:
            until = min(end, ORDERED_FROM)
            for rows in _whole(client, chat, self.page_size, start, until):
                yield Page([row for row in rows if placed(row, start, until)], start)
        if (first := max(start, ORDERED_FROM)) < end:
            until = min(end, ORDERED_UNTIL)
            yield from _Walk(client, chat, self.page_size, first, until, _FIRST_SPAN)
        yield Page([], end)

    def _rows_between(
        self, client: WahaClient, chat: str, start: int, end: int
    ) -> Iterator[list[bytes]]:
        if start < end:
            # Nothing much is expected here, so the first window is everything.
            for page in _Walk(client, chat, self.page_size, start, end, end - start):
                yield page.rows


@dataclass
class _Walk:
    """Walks one chat (or all) from `start` to `end`, ten-digit seconds, by a cursor.

    Each request asks for `cursor <= timestamp <= bound`, ascending. The last row's second is the
    next cursor, asked for again: rows of that second may lie behind the page, and rows hidden
    behind dropped ones are found because nothing is skipped. What came before is known by its
    bytes. Only three things happen to a page:

    - It moves the cursor: the bound is set anew from the density just seen.
    - It moves nothing and is short: the bound grows; at the end of the range one wide page must
      confirm that nothing follows, and if its rows are many, that the server did not cut it.
    - It moves nothing and is full (a burst in one second, or rows whose time is text): the page
      grows. Beyond the widest page the second is swept with offsets.
    """

    client: WahaClient
    chat: str
    page_size: int
    start: int
    end: int
    span: int
    cursor: int = field(init=False)
    bound: int = field(init=False)
    limit: int = field(init=False)
    widest: int = field(init=False)
    seen: set[bytes] = field(init=False, default_factory=set)
    odd: set[bytes] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.cursor = self.start
        self.bound = min(self.start + self.span, self.end)
        self.limit = self.page_size
        self.widest = max(WIDEST, self.page_size)

    def __iter__(self) -> Iterator[Page]:
        """Yield pages until the end is confirmed.

        Raises:
            WahaProtocolError: `_PATIENCE` requests in a row without progress.
        """
        idle = 0
        while idle < _PATIENCE:
            rows = self.client.messages(
                self.chat, limit=self.limit, gte=self.cursor, lte=self.bound
            )
            fresh, last = self._take(rows)
            moved = last is not None and last > self.cursor
            idle = 0 if moved else idle + 1
            if last is not None and moved:
                self._advance(last, len(rows))
            yield Page(fresh, min(self.cursor, self.end))
            if self.cursor >= self.end:
                return
            if moved:
                continue
            if not self._crowded(len(rows)):
                if not self._look_further() and not self._cut(rows):
                    return
            elif self.limit < self.widest:
                self.limit = self._wider(self.limit)
            else:
                yield Page(self._sweep_second(), self.cursor)
                self.cursor, idle = self.cursor + 1, 0
        raise self._stuck(WahaProtocolError, f"no progress in {_PATIENCE} requests")

    def _take(self, rows: Sequence[bytes]) -> tuple[list[bytes], int | None]:
        """Return the rows not seen before and below `end`, and the last whole second among all."""
        fresh: list[bytes] = []
        last: int | None = None
        outside = 0
        for row in rows:
            time = timestamp_of(row)
            if time is None:
                if row not in self.odd:
                    self.odd.add(row)
                    fresh.append(row)
                continue
            second = math.floor(time)
            if not self.cursor <= second <= self.bound:
                outside += 1
                continue
            if last is not None and second < last:
                raise self._stuck(WahaUnsupportedError, "the rows do not come in ascending order")
            last = second
            if row not in self.seen and time < self.end:
                fresh.append(row)
                self.seen.add(row)
        if outside and outside == len(rows):
            raise self._stuck(WahaUnsupportedError, "the bounds of time are ignored")
        return fresh, last

    def _advance(self, last: int, count: int) -> None:
        # A few dropped rows do not make a page short: 499 of 500 says nothing about the rest.
        full = count >= self.limit * 9 // 10
        width = (last if full else self.bound) - self.cursor + 1
        wanted = math.ceil(width * _FILL * self.page_size / count)
        self.span = max(_MIN_SPAN, min(wanted, self.span * _GROWTH))
        # Rows of the cursor's second come again; older ones cannot.
        self.seen = {row for row in self.seen if second_of_row(row) == last}
        at_end = self.bound >= self.end
        self.cursor = last
        self.bound = min(last + self.span, self.end)
        # A page that reached the end half empty is most likely the last one: the next request is
        # asked wide, so that it is also the confirmation.
        over = at_end and count <= self.limit // 2
        self.limit = self._confirming() if over else self.page_size

    def _crowded(self, count: int) -> bool:
        """Say whether a page that moved nothing may hide rows behind those it shows."""
        if self.bound < self.end:
            return count >= self.limit
        return not roomy(count, self.limit)

    def _look_further(self) -> bool:
        """Widen what is asked after a page that brought nothing; False when all has been asked."""
        if self.bound < self.end:
            self.span *= _GROWTH
            self.bound = min(self.cursor + self.span, self.end)
            return True
        if self.limit < self._confirming():
            self.limit = self._confirming()
            return True
        return False

    def _wider(self, limit: int) -> int:
        return min(max(limit * _WIDEN, _WIDE), self.widest)

    def _confirming(self) -> int:
        return min(max(self.page_size * _WIDEN, _CONFIRM), self.widest)

    def _cut(self, rows: Sequence[bytes]) -> bool:
        """Say whether the server cuts pages short of our limit; from then on ask for no more.

        A proxy that caps pages at 50 once hid a burst of 60 in a second, and all that came after:
        the same 50 rows answered every request from that second on.
        """
        ask = partial(
            self.client.messages, self.chat, limit=self.limit, gte=self.cursor, lte=self.bound
        )
        if self.widest < WIDEST or not is_cut(rows, ask):
            return False
        self.widest = self.page_size = self.limit = len(rows)
        return True

    def _sweep_second(self) -> list[bytes]:
        rows = _sweep(self.client, self.chat, self.cursor, self.cursor + 1, self.widest)
        fresh = [
            row for row in rows if row not in self.seen and (second_of_row(row) or 0) < self.end
        ]
        self.seen.update(fresh)
        if not any(second_of_row(row) == self.cursor for row in rows):
            raise self._stuck(WahaProtocolError, f"pages of {self.widest} rows lead nowhere")
        return fresh

    def _stuck(self, error: type[WahaError], why: str) -> WahaError:
        return error(
            f"WAHA session {self.client.server.session!r}: reading messages between {self.cursor} "
            f"and {self.bound} (epoch seconds) cannot be complete: {why}. Update WAHA; if it is "
            "current, report the window with the server's version."
        )


def _whole(
    client: WahaClient, chat: str, page_size: int, gte: int | None, lte: int | None
) -> Iterator[list[bytes]]:
    """Yield a window whose order means nothing, by single requests wide enough to hold all of it.

    One answer is one moment: nothing can shift in it.
    """
    step, limit = WIDEST, page_size
    while limit <= WIDEST:
        rows = client.messages(chat, limit=limit, gte=gte, lte=lte)
        yield rows
        if limit > page_size and roomy(len(rows), limit):
            ask = partial(client.messages, chat, limit=limit, gte=gte, lte=lte)
            if not is_cut(rows, ask):
                return
            step = len(rows)
            break
        limit = max(limit + 1, limit * _WIDEN, _WIDE)
    yield _sweep(client, chat, gte, lte, step)


def _odd_end(
    client: WahaClient, chat: str, page_size: int, order: Literal["asc", "desc"]
) -> Iterator[list[bytes]]:
    """Yield the rows without a numeric timestamp that stand at one end of the unfiltered list."""
    step, first = WIDEST, min(page_size, _WIDE)
    limit = first
    while limit <= WIDEST:
        rows = client.messages(chat, limit=limit, order=order)
        yield [row for row in rows if timestamp_of(row) is None]
        if rows and timestamp_of(rows[-1]) is not None:
            return
        if limit > first and roomy(len(rows), limit):
            ask = partial(client.messages, chat, limit=limit, order=order)
            if not is_cut(rows, ask):
                return
            step = len(rows)
            break
        limit = max(limit + 1, limit * _WIDEN, _WIDE)
    yield [row for row in _sweep(client, chat, None, None, step) if timestamp_of(row) is None]


def _sweep(
    client: WahaClient, chat: str, gte: int | None, lte: int | None, step: int
) -> list[bytes]:
    """Read a window with offsets: up to find its end, then down again.

    A row that is deleted shifts the ones behind it towards lower offsets, which a reader on its way
    up has passed; on the way down they are still ahead. So the second pass sees every row that was
    there all the time.
    """
    found: dict[bytes, None] = {}

    def page(offset: int) -> int:
        rows = client.messages(chat, limit=step, offset=offset, gte=gte, lte=lte)
        found.update(dict.fromkeys(rows))
        return len(rows)

    top = 0
    while page(top) or page(top + step):
        top += step
    for offset in range(top, -1, -step):
        page(offset)
    return list(found)
