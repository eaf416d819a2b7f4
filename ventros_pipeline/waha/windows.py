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
from collections.abc import Callable, Iterator, Sequence
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
    timestamps_of,
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
# Where the confirming page is at most so many pages, the rest of a range is asked with it already
# when it likely is less than one page. A wrong guess brings up to `_CONFIRM` rows at once, about
# 9 MB and under a second on the measured server; they are wanted anyway. That page cannot be made
# smaller for a weak server, since a smaller one confirms nothing; so where pages were set to fewer
# than 256 rows nothing is guessed: the wide page is asked for only when the end is reached.
_GUESSED = 32
_PATIENCE = 200
# Rows of one window that are swept with offsets; a server that ignores these would never end.
_MOST_SWEPT = 2_000_000

Ask = Callable[..., list[bytes]]


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
        self,
        client: WahaClient,
        start: int,
        end: int,
        chats: Sequence[str] | None = None,
        *,
        outside: tuple[int, int] | None = None,
    ) -> Iterator[Page]:
        """Yield every row with `start <= timestamp < end` that exists during the whole read.

        A cursor walks up the seconds; no offset is used, so nothing that happens between two
        requests can shift a row out of sight. See `_Walk`.

        Args:
            client: client of the session.
            start: first second, epoch.
            end: second after the last, epoch.
            chats: chat ids; None reads every chat of the session at once.
            outside: `(before, after)`, epoch seconds; rows whose timestamp is not in
                `before <= timestamp < after`, and those without a numeric one, are read, too, and
                first. See `_outside`.

        Yields:
            Pages in ascending time, those of rows outside in no order; rows without a numeric
            timestamp may be among any. With several chats, `complete_before` stays at `start` until
            the last of them. A row outside may come twice.

        Raises:
            WahaProtocolError: the walk makes no progress; the message names the window.
            WahaUnsupportedError: the server ignores the order or the bounds it was asked for.
        """
        names = [ALL_CHATS] if chats is None else chats
        for position, chat in enumerate(names, 1):
            if outside is not None:
                for rows in self._outside(client, chat, *outside):
                    if wanted := [row for row in rows if not placed(row, *outside)]:
                        yield Page(wanted, start)
            for page in self._read_chat(client, chat, start, end):
                yield page if position == len(names) else Page(page.rows, start)

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
            for rows in _window(client, chat, start, until):
                yield Page([row for row in rows if placed(row, start, until)], start)
        if (first := max(start, ORDERED_FROM)) < end:
            until = min(end, ORDERED_UNTIL)
            yield from _Walk(client, chat, self.page_size, first, until, _FIRST_SPAN)
        yield Page([], end)

    def _outside(
        self, client: WahaClient, chat: str, before: int, after: int
    ) -> Iterator[list[bytes]]:
        """Yield the rows that no window between `before` and `after` finds, and some others.

        Four requests for an account that has few of them:

        - Null, text, or no timestamp at all: these match no filter on numbers, so they are read
          without one. As JSON text they sort to an end of the list (null last and strings first in
          NOWEB; SQL nulls first elsewhere), so both ends are read until a number shows that the odd
          ones are over.
        - Zero, negative, and anything else with less than ten digits: the text order of these is
          not their number's, so the window is read whole. Nothing honest is that old.
        - From `after` on: years to come and, with eleven digits and more, milliseconds; one window
          that is read whole.
        - Honest messages from before `before`, which may be many: they are walked, unless the
          ascending end has shown them all.
        """
        ascending: list[bytes] = []
        for ascending in _odd_end(client, chat, "asc"):
            yield ascending
        yield from _odd_end(client, chat, "desc")
        yield from _window(client, chat, None, min(before, ORDERED_FROM) - 1)
        yield from _window(client, chat, after, None)
        if before > ORDERED_FROM and not _reaches(ascending, before):
            # Nothing much is expected here, so the first window is everything.
            span = before - ORDERED_FROM
            for page in _Walk(client, chat, self.page_size, ORDERED_FROM, before, span):
                yield page.rows


@dataclass
class _Walk:
    """Walks one chat (or all) from `start` to `end`, ten-digit seconds, by a cursor.

    Each request asks for `cursor <= timestamp <= bound`, ascending. The last row's second is the
    next cursor, asked for again: rows of that second may lie behind the page, and rows hidden
    behind dropped ones are found because nothing is skipped. What came before is known by its
    bytes. Only three things happen to a page:

    - It moves the cursor: the bound is set anew from the density just seen. When the rest of the
      range is likely less than a page, the next one is asked wide; if that holds few rows, and the
      server has shown that it does not cut, it is its own confirmation.
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
    uncut: int = field(init=False, default=0)
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
            over = self._holds_all_that_is_left(len(rows))
            if last is not None and moved:
                self._advance(last, len(rows))
            yield Page(fresh, min(self.cursor, self.end))
            if over or self.cursor >= self.end:
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
        for row, time in zip(rows, timestamps_of(rows), strict=True):
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

    def _holds_all_that_is_left(self, count: int) -> bool:
        """Say whether a page that was asked wide up to the end is its own confirmation.

        It has so much room that only a desert of dropped rows could hide more, as in any confirming
        page. Here it may also have been cut, and of a cut page dropped rows may be missing, so its
        rows must be fewer than half of those that the server has given in one page before.
        """
        return (
            self._guesses
            and self.bound >= self.end
            and self.limit >= self._confirming()
            and roomy(count, self.limit)
            and self._is_not_cut(count)
        )

    @property
    def _guesses(self) -> bool:
        """Whether the last page may be asked wide before it is known to be the last."""
        return self.page_size < self._confirming() <= self.page_size * _GUESSED

    def _is_not_cut(self, count: int) -> bool:
        return 0 < 2 * count <= self.uncut

    def _advance(self, last: int, count: int) -> None:
        # A few dropped rows do not make a page short: 499 of 500 says nothing about the rest.
        full = count >= self.limit * 9 // 10
        if full:
            self.uncut = max(self.uncut, min(count, self.limit))
        width = (last if full else self.bound) - self.cursor + 1
        # Up to the last row only: a tenth of dropped rows makes a page look as if it were the end.
        rest = count * (self.end - last) / (last - self.cursor + 1)
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
        likely = self._guesses and self.bound >= self.end and rest <= self.page_size
        self.limit = self._confirming() if over or likely else self.page_size

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
        if self.widest < WIDEST or self._is_not_cut(len(rows)) or not is_cut(rows, ask):
            return False
        self.widest = self.page_size = self.limit = len(rows)
        return True

    def _sweep_second(self) -> list[bytes]:
        ask = partial(self.client.messages, self.chat, gte=self.cursor, lte=self.cursor + 1)
        rows = _sweep(ask, self.widest)
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


def _window(
    client: WahaClient, chat: str, gte: int | None, lte: int | None
) -> Iterator[list[bytes]]:
    """Yield a window whose order means nothing, read whole; few rows are expected in it."""
    for rows in _whole(partial(client.messages, chat, gte=gte, lte=lte), _CONFIRM):
        times = [time for time in timestamps_of(rows) if time is not None]
        many = not roomy(len(rows), _CONFIRM)
        if many and not any(_within(time, gte, lte) for time in times):
            # A server that knows no filters would give its whole account for each window.
            raise WahaUnsupportedError(
                f"WAHA session {client.server.session!r}: the bounds of time are ignored. Update "
                "WAHA."
            )
        yield rows


def _within(time: float, gte: int | None, lte: int | None) -> bool:
    return (gte is None or time >= gte) and (lte is None or time <= lte)


def _odd_end(client: WahaClient, chat: str, order: Literal["asc", "desc"]) -> Iterator[list[bytes]]:
    """Yield an end of the unfiltered list, until the rows without a numeric timestamp are over."""
    for rows in _whole(partial(client.messages, chat, order=order), _WIDE):
        yield rows
        if rows and timestamp_of(rows[-1]) is not None:
            return


def _reaches(rows: Sequence[bytes], second: int) -> bool:
    """Say whether the beginning of an ascending list shows all that is older than a second.

    Numbers of ten digits are ascending among themselves, whatever stands before and between them.
    Two of them in that order also show that the server knows the order it was asked for.
    """
    times = [
        time
        for row in rows
        if (time := timestamp_of(row)) is not None and ORDERED_FROM <= time < ORDERED_UNTIL
    ]
    return bool(times) and times == sorted(times) and times[0] < times[-1] >= second


def _whole(ask: Ask, limit: int) -> Iterator[list[bytes]]:
    """Yield all that is asked for, by single requests wide enough to hold all of it.

    One answer is one moment: nothing can shift in it. Beyond the widest page it is swept.

    Args:
        ask: a request without limit and offset.
        limit: of the first request; a page is taken for whole only from `_CONFIRM` on.
    """
    limit = min(limit, WIDEST)
    while True:
        rows = ask(limit=limit)
        yield rows
        has_room = roomy(len(rows), limit)
        if has_room and limit >= min(_CONFIRM, WIDEST):
            if not is_cut(rows, partial(ask, limit=limit)):
                return
            yield _sweep(ask, len(rows))
            return
        if limit >= WIDEST:
            yield _sweep(ask, WIDEST)
            return
        limit = min(max(limit * _WIDEN, _CONFIRM if has_room else 0), WIDEST)


def _sweep(ask: Ask, step: int) -> list[bytes]:
    """Read all that is asked for with offsets: up to find its end, then down again.

    A row that is deleted shifts the ones behind it towards lower offsets, which a reader on its way
    up has passed; on the way down they are still ahead. So the second pass sees every row that was
    there all the time.
    """
    found: dict[bytes, None] = {}

    def page(offset: int) -> int:
        rows = ask(limit=step, offset=offset)
        found.update(dict.fromkeys(rows))
        return len(rows)

    top = 0
    while page(top) or page(top + step):
        top += step
        if top > _MOST_SWEPT:
            raise WahaProtocolError(
                f"A window of messages has more than {_MOST_SWEPT:,} rows that no smaller window "
                "divides, or the server ignores `offset`. Update WAHA; the days before are kept."
            )
    for offset in range(top, -1, -step):
        page(offset)
    return list(found)
